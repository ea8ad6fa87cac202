import { bundleFromJSON } from "@sigstore/bundle";
import { TrustedRoot } from "@sigstore/protobuf-specs";
import { toSignedEntity, toTrustMaterial, type TrustMaterial, Verifier } from "@sigstore/verify";
import * as v from "valibot";
import { causesOf, OcibundleError } from "../errors.ts";
import { parseDocument } from "../oci/document.ts";
import { runtime } from "../runtime/current.ts";

/** What must stand in a text: all of it, or what a pattern finds anywhere in it. */
export type Pattern = { kind: "exact"; text: string } | { kind: "pattern"; pattern: RegExp };

/** Who must have signed: the subject of a certificate, and who vouched for that subject. */
export interface IdentityPattern {
  identity: Pattern;
  issuer: Pattern;
}

/** Who signed, as the certificate says it. */
export interface Identity {
  identity: string;
  issuer: string;
}

/** The certificate authorities and logs that are trusted, in the form of Sigstore's `trusted_root.json`. */
export interface TrustRoot {
  material: TrustMaterial;
  /** How many entries of each kind of log a bundle must have. */
  needs: { transparencyLog: number; certificateLog: number };
}

const RootSchema = v.looseObject({
  mediaType: v.pipe(
    v.string(),
    v.startsWith("application/vnd.dev.sigstore.trustedroot", "must be that of a trusted root"),
  ),
  certificateAuthorities: v.pipe(
    v.array(v.looseObject({})),
    v.minLength(1, "must have at least one entry"),
  ),
});

/**
 * Reads a trusted root. Logs are required where it lists some: an installation that has none is one whose
 * root lists none. `on` names the file. Throws `file`.
 */
export function readTrustRoot(bytes: Uint8Array, on: string): TrustRoot {
  const document = parseDocument(bytes, RootSchema, on);
  try {
    const material = toTrustMaterial(TrustedRoot.fromJSON(document));
    return {
      material,
      needs: {
        transparencyLog: Math.min(1, material.tlogs.length),
        certificateLog: Math.min(1, material.ctlogs.length),
      },
    };
  } catch (cause) {
    throw new OcibundleError("file", `${on}: the trusted root is malformed`, { cause });
  }
}

/** Longer names are none; patterns need not be tried on them. */
const maxNameLength = 2048;

const matches = (pattern: Pattern, text: string): boolean =>
  text.length <= maxNameLength &&
  (pattern.kind === "exact" ? pattern.text === text : pattern.pattern.test(text));

/**
 * Verifies the signature of a bundle with a certificate, which must have been valid when it was made, and
 * whose subject and issuer must match. What is signed is the caller's to look at. Throws `integrity`, saying why not.
 */
export function verifyIdentity(
  json: unknown,
  { material, needs }: TrustRoot,
  wanted: IdentityPattern,
): Identity {
  const verifier = new Verifier(material, {
    tlogThreshold: needs.transparencyLog,
    ctlogThreshold: needs.certificateLog,
    // A certificate lives for minutes: without the time of signing nothing is known.
    timestampThreshold: 1,
  });
  let signer: ReturnType<Verifier["verify"]>;
  runtime.completeVerify();
  try {
    const bundle = bundleFromJSON(json);
    // Of one with both, the library verifies the other one, and the statement would be anybody's.
    if (bundle.content.$case !== "dsseEnvelope")
      throw new Error("does not sign an in-toto statement");
    signer = verifier.verify(toSignedEntity(bundle));
  } catch (cause) {
    // Whatever goes wrong while it is read, it is not verified.
    throw new OcibundleError("integrity", reasonOf(cause), { cause });
  }
  const identity = signer.identity?.subjectAlternativeName;
  const issuer = signer.identity?.extensions?.issuer;
  if (identity === undefined || issuer === undefined) {
    throw new OcibundleError("integrity", "the certificate has no identity or no issuer");
  }
  if (!matches(wanted.identity, identity)) {
    throw new OcibundleError("integrity", `signed by ${JSON.stringify(identity)}`);
  }
  if (!matches(wanted.issuer, issuer)) {
    throw new OcibundleError("integrity", `issued by ${JSON.stringify(issuer)}`);
  }
  return { identity, issuer };
}

/** What the library says in its innermost error, in lower case. */
function reasonOf(error: unknown): string {
  const [innermost] = [...causesOf(error)].toReversed();
  const message = innermost?.message ?? "malformed bundle";
  return message.charAt(0).toLowerCase() + message.slice(1);
}
