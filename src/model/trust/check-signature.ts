import { OcibundleError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import type { CheckedSignature } from "../../report/signatures.ts";
import { type Bundle, readBundle } from "../../trust/bundle.ts";
import { type PublicKey, fingerprintOf } from "../../trust/public-key.ts";
import { digestOfPayload } from "../../trust/simple-signing.ts";
import {
  preAuthEncoding,
  readStatement,
  signPredicate,
  statementType,
} from "../../trust/statement.ts";
import type { Signer } from "./signer.ts";
import type { StoredSignature } from "./stored-signatures.ts";

type Verdict =
  | { key: string }
  | { identity: string; issuer: string }
  | { reason: string }
  /** Something else that is signed: an attestation. */
  | undefined;

/**
 * Checks a signature of a manifest against signers, any of which is enough. Undefined where it is none.
 * Nothing is thrown for what is wrong with it.
 */
export function checkSignature(
  stored: StoredSignature,
  subject: Digest,
  signers: readonly Signer[],
): CheckedSignature | undefined {
  const { digest, kind } = stored;
  const format = kind === "unreadable" ? null : kind === "bundle" ? "bundle" : "tag";
  const base = { digest, format, key: null, identity: null, issuer: null } as const;
  const reasons = new Set<string>();
  for (const signer of signers) {
    let verdict: Verdict;
    try {
      verdict = judge(stored, subject, signer);
    } catch (error) {
      if (!(error instanceof OcibundleError)) throw error;
      verdict = { reason: error.message };
    }
    if (verdict === undefined) return undefined;
    if (!("reason" in verdict)) return { ...base, ...verdict, valid: true, reason: null };
    reasons.add(verdict.reason);
  }
  return { ...base, valid: false, reason: [...reasons].join("; ") };
}

function judge(stored: StoredSignature, subject: Digest, signer: Signer): Verdict {
  if (stored.kind === "unreadable") return { reason: stored.reason };
  if (stored.kind === "bundle") return judgeBundle(stored.bytes, subject, signer);
  const { payload, signature, isKeyless } = stored;
  if (signer.kind === "identity") {
    return { reason: "stored in cosign 2 format, which can only be verified with a key" };
  }
  if (!signer.key.verify(payload, signature)) {
    return { reason: isKeyless ? "signed with a certificate" : "signed by another key" };
  }
  const signed = digestOfPayload(payload, "the payload");
  if (signed !== subject) return { reason: `is for another digest, ${signed}` };
  return { key: signer.key.fingerprint };
}

function judgeBundle(bytes: Uint8Array, subject: Digest, signer: Signer): Verdict {
  const bundle = readBundle(bytes, "the bundle");
  const { envelope } = bundle;
  if (envelope?.type !== statementType) return { reason: "does not sign an in-toto statement" };
  const { predicateType, subjects } = readStatement(envelope.payload, "the statement");
  // What is attested of a manifest, by whoever, does not approve of it.
  if (predicateType !== signPredicate) return undefined;
  const verdict = judgeSigner(bundle, signer);
  if ("reason" in verdict || subjects.includes(subject)) return verdict;
  return { reason: `is for another digest, ${subjects.join(", ") || "none"}` };
}

/** Whether a signer made the signature of a bundle; what is signed is the caller's to look at. */
export function judgeSigner(
  bundle: Bundle,
  signer: Signer,
): { key: string } | { identity: string; issuer: string } | { reason: string } {
  if (signer.kind === "key") return judgeKey(bundle, signer.key);
  if (bundle.signer.kind === "key") return { reason: "signed with a key" };
  try {
    return signer.verify(bundle.json);
  } catch (error) {
    if (!(error instanceof OcibundleError)) throw error;
    return { reason: error.message };
  }
}

/** Whether a key signed the envelope of a bundle. */
function judgeKey(
  { envelope, signer }: Bundle,
  key: PublicKey,
): { key: string } | { reason: string } {
  if (envelope === undefined) return { reason: "has no signature" };
  const data = preAuthEncoding(envelope.type, envelope.payload);
  if (key.verify(data, envelope.signature)) return { key: key.fingerprint };
  if (signer.kind === "certificate") return { reason: "signed with a certificate" };
  if (signer.id === key.id) return { reason: "the signature is invalid" };
  // An id is only what somebody says.
  const isId = /^[A-Za-z0-9+/]{43}=$/.test(signer.id);
  return { reason: `signed by another key${isId ? `, ${fingerprintOf(signer.id)}` : ""}` };
}
