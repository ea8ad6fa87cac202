import type { Identity, Pattern } from "../../trust/identity.ts";
import { type PublicKey, readPublicKey } from "../../trust/public-key.ts";
import type { JobContext } from "../session/session.ts";
import type { SignerSettings } from "../session/verify-settings.ts";
import { readKeyText, readNamed } from "./key-source.ts";

/** Who must have signed, with everything read that it takes to check it. */
export type Signer =
  | { kind: "key"; key: PublicKey }
  | { kind: "identity"; verify: (bundle: unknown) => Identity };

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
  // Loaded only for identities: Sigstore's libraries take memory that a pull without them does not need.
  const { readTrustRoot, verifyIdentity } = await import("../../trust/identity.ts");
  const root = readTrustRoot(bytes, `"${trustedRoot}"`);
  const wanted = {
    identity: patternOf(identity, identityRegexp),
    issuer: patternOf(issuer, issuerRegexp),
  };
  return { kind: "identity", verify: (bundle) => verifyIdentity(bundle, root, wanted) };
}

const patternOf = (exact: string | undefined, source: string | undefined): Pattern =>
  exact === undefined
    ? { kind: "pattern", pattern: new RegExp(source ?? "(?!)", "u") }
    : { kind: "exact", text: exact };
