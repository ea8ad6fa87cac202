import { OcibundleError } from "../../errors.ts";
import type { BlobToMove } from "../../oci/content.ts";
import { fileNameOf, quoted, type WeightEntry } from "../format/weight-entry.ts";
import { mayBeSplit } from "../parts/tree-numbers.ts";
import { mismatchHint, type WeightSources } from "./lock-sources.ts";
import { confirmOf, lockFormsAgain } from "./lock-claims.ts";
import { findPlace, weightSource } from "./weight-source.ts";

/** The lock's blobs as things to be moved, once a digest; a file is looked at only when its blob is needed. */
export function weightBlobs(entries: readonly WeightEntry[], sources: WeightSources): BlobToMove[] {
  const blobs = new Map<string, BlobToMove>();
  const originals = new Map<string, WeightEntry>();
  for (const entry of entries) {
    const before = originals.get(entry.digest) ?? entry;
    originals.set(entry.digest, before);
    if (before.digestOriginal !== entry.digestOriginal) throw sameBlob(before, entry, sources);
    if (blobs.has(entry.digest)) continue;
    const confirm = confirmOf(entry, sources);
    blobs.set(entry.digest, {
      descriptor: { mediaType: entry.mediaType, digest: entry.digest, size: entry.size },
      kind: "weight",
      label: `weight ${quoted(entry.name)}`,
      name: entry.name,
      file: fileNameOf(entry),
      group: "weights",
      canSplit: mayBeSplit(entry.sizeUncompressed),
      mismatchHint: mismatchHint(entry, sources),
      check: async (signal) => {
        await findPlace(entry, sources, signal);
      },
      source: (signal) => weightSource(entry, sources, signal),
      ...(confirm === undefined ? {} : { confirm }),
    });
  }
  return [...blobs.values()];
}

const sameBlob = (one: WeightEntry, other: WeightEntry, { lock }: WeightSources): OcibundleError =>
  new OcibundleError(
    "integrity",
    `weights ${quoted(one.name)} and ${quoted(other.name)} have different content, but the same blob in ${lock}`,
    { hint: lockFormsAgain },
  );
