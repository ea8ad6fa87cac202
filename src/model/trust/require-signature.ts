import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import { formatReference, type Reference } from "../../oci/reference.ts";
import type { CheckedSignature } from "../../report/signatures.ts";
import type { Session } from "../session/session.ts";
import { settingsOf, verifySettingsOf } from "../session/settings-of.ts";
import type { VerifySettings } from "../session/verify-settings.ts";
import { checkSignature } from "./check-signature.ts";
import { openSigner, type Signer } from "./signer.ts";
import { storedSignatures } from "./stored-signatures.ts";

/** Where signatures are looked for: a repository, or whatever else content is read from. */
export type SignedPlace = Reference | ContentReader;

const isReader = (place: SignedPlace): place is ContentReader => "readManifest" in place;

/**
 * All signatures of a manifest, checked. Of a repository with mirrors, what a mirror has is looked at first:
 * its copy of a tag may be old, so that without a valid one the registry itself is asked.
 */
export async function checkSignatures(
  session: Session,
  place: SignedPlace,
  digest: Digest,
  signers: readonly Signer[],
): Promise<CheckedSignature[]> {
  const readers = isReader(place) ? [place] : readersOf(session, place);
  let checked: CheckedSignature[] = [];
  for (const reader of readers) {
    checked = [];
    for await (const stored of storedSignatures(reader, digest, session)) {
      const one = checkSignature(stored, digest, signers);
      if (one !== undefined) checked.push(one);
    }
    if (checked.some(({ valid }) => valid)) break;
  }
  return checked;
}

function readersOf(session: Session, place: Reference): ContentReader[] {
  const origin = session.originReader(place);
  const isMirrored = settingsOf(session.config, place.host).mirrors.length > 0;
  return isMirrored ? [session.reader(place), origin] : [origin];
}

/** The failure of a manifest without a valid signature: `integrity`. `name` is what was asked for. */
export function unsigned(
  name: string,
  digest: Digest,
  checked: readonly CheckedSignature[],
): OcibundleError {
  const short = shortDigest(digest);
  if (checked.length === 0) {
    return new OcibundleError("integrity", `${name}: no signature of ${short}`, {
      hint: "sign it with `ocibundle sign`; if the tag has moved since, pull the signed digest",
    });
  }
  const reasons = [...new Set(checked.map(({ reason }) => reason))];
  const shown = reasons.slice(0, shownReasons).join("; ");
  const more = reasons.length > shownReasons ? `; and ${reasons.length - shownReasons} more` : "";
  const found = checked.length === 1 ? "1 was found" : `${checked.length} were found`;
  return new OcibundleError(
    "integrity",
    `${name}: no valid signature of ${short}: ${found}: ${shown}${more}`,
    {
      hint: "check the key or the identity; `ocibundle verify REF --signature --key FILE` lists the signatures",
    },
  );
}

const shownReasons = 3;

/**
 * Ends a run unless the manifest is signed as it must be: by what was asked for on the command line, else as the
 * configuration has it for the repository. Without either, nothing is looked up. The digest is the one that
 * everything else is then read by, so that it does not matter whether a tag moves. Throws `integrity`; `usage`,
 * `file` for keys that can't be read; `network`, `denied` where signatures can't be looked up.
 */
export async function requireSignature(
  session: Session,
  place: SignedPlace,
  digest: Digest,
  asked?: VerifySettings,
): Promise<void> {
  const configured = isReader(place) ? [] : verifySettingsOf(session.config, place);
  const settings = asked ?? configured;
  if (settings.length === 0) return;
  const signers: Signer[] = [];
  for (const one of settings) signers.push(await openSigner(session, one));
  const checked = await checkSignatures(session, place, digest, signers);
  const valid = checked.find((one) => one.valid);
  const name = isReader(place) ? place.name : formatReference(place);
  if (valid === undefined) throw unsigned(name, digest, checked);
  const by = valid.identity ?? `key ${valid.key}`;
  session.emit({ type: "detail", message: `${name}: ${shortDigest(digest)} is signed by ${by}` });
}
