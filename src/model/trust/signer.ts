import {
  type IdentityPattern,
  type Pattern,
  readTrustRoot,
  type TrustRoot,
} from "../../trust/identity.ts";
import { type PublicKey, readPublicKey } from "../../trust/public-key.ts";
import type { JobContext } from "../session/session.ts";
import type { SignerSettings } from "../session/verify-settings.ts";
import { readKeyText, readNamed } from "./key-source.ts";

/** Who must have signed, with everything read that it takes to check it. */
export type Signer =
  | { kind: "key"; key: PublicKey }
  | { kind: "identity"; root: TrustRoot; wanted: IdentityPattern };

/** Reads keys and trusted roots. Throws `usage`, `file`, `system`. */
export async function openSigner(
  job: Pick<JobContext, "env" | "cwd">,
  settings: SignerSettings,
): Promise<Signer> {
  if (settings.kind === "key") {
    const { text, on } = await readKeyText(job, settings.key);
    return { kind: "key", key: readPublicKey(text, on) };
  }
  const { identity, identityRegexp, issuer, issuerRegexp, trustedRoot } = settings;
  const bytes = await readNamed(job.cwd, trustedRoot, "trusted root");
  return {
    kind: "identity",
    root: readTrustRoot(bytes, `"${trustedRoot}"`),
    wanted: {
      identity: patternOf(identity, identityRegexp),
      issuer: patternOf(issuer, issuerRegexp),
    },
  };
}

const patternOf = (exact: string | undefined, source: string | undefined): Pattern =>
  exact === undefined
    ? { kind: "pattern", pattern: new RegExp(source ?? "(?!)", "u") }
    : { kind: "exact", text: exact };
