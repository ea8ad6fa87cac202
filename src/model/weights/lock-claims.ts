import { OcibundleError } from "../../errors.ts";
import { shortDigest } from "../../oci/digest.ts";
import { compressionOf, type WeightEntry } from "../format/weight-entry.ts";
import type { PartBlob } from "../layout/original-file.ts";
import type { ClaimedForm } from "./confirm-form.ts";
import { isCompressed, type WeightSources } from "./lock-sources.ts";

/** What to do about a lock whose blobs are not those of its files. */
export const lockFormsAgain = "run `ocibundle lock` again, then push again";

/** What the lock says of the blob of a compressed file. */
function claimOf(entry: WeightEntry, { paths }: WeightSources): ClaimedForm | undefined {
  const encoding = compressionOf(entry.mediaType);
  if (!isCompressed(entry) || encoding === "none") return undefined;
  const { digestOriginal: digest, sizeUncompressed: size } = entry;
  const path = paths.get(entry.name);
  return {
    part: { digest, size, encoding, stored: { digest: entry.digest, size: entry.size } },
    original: path === undefined ? undefined : { path, start: 0 },
  };
}

/** Holds a claim of the lock against what can be seen. Throws `integrity`. */
export const confirmation =
  (claim: ClaimedForm, { stored, lock }: WeightSources): NonNullable<PartBlob["confirm"]> =>
  async (there, signal) => {
    if (await stored.forms.confirm(claim, there, signal)) return;
    const { digest, encoding } = claim.part;
    throw new OcibundleError(
      "integrity",
      `its blob in ${lock}, ${shortDigest(claim.part.stored.digest)}, is not ${shortDigest(digest)} as ${encoding}`,
      { hint: lockFormsAgain },
    );
  };

/** Finds out whether the blob of a compressed file is what the lock says. Undefined where the file is not compressed. */
export function confirmOf(entry: WeightEntry, sources: WeightSources): PartBlob["confirm"] {
  const claim = claimOf(entry, sources);
  return claim && confirmation(claim, sources);
}
