import { OcibundleError } from "../../errors.ts";
import type { SignatureReport } from "../../report/signatures.ts";
import { modelPlace } from "../places/place.ts";
import { verifySettingsOf } from "../session/settings-of.ts";
import { type JobContext, openSession } from "../session/session.ts";
import type { VerifySettings } from "../session/verify-settings.ts";
import { checkSignatures, unsigned } from "../trust/require-signature.ts";
import { openSigner } from "../trust/signer.ts";

/** A manifest, and whose signatures count. */
export interface VerifySignatureRequest {
  source: string;
  /** Who must have signed; as the configuration has it where it is empty. */
  signers: VerifySettings;
}

/**
 * Checks the signatures of a manifest; its content is not read. Never throws for a signature that is wrong or
 * missing. Throws `usage` where nobody says who must have signed, `not_found`, `file`, `denied`, `network`.
 */
export async function verifySignature(
  job: JobContext,
  request: VerifySignatureRequest,
): Promise<SignatureReport> {
  const session = openSession(job);
  const place = await modelPlace(session, request.source);
  const { reference } = place;
  const configured = reference === undefined ? [] : verifySettingsOf(session.config, reference);
  const settings = request.signers.length > 0 ? request.signers : configured;
  if (settings.length === 0) {
    throw new OcibundleError("usage", "--signature requires a key or an identity", {
      hint: "add --key FILE, or --certificate-identity with --certificate-oidc-issuer and --trusted-root",
    });
  }
  const signers = await Promise.all(settings.map((one) => openSigner(session, one)));
  const { reader, root, name, close } = await place.open();
  try {
    const signatures = await checkSignatures(session, reference ?? reader, root.digest, signers);
    return {
      name,
      reference: place.pinned(root.digest),
      digest: root.digest,
      valid: signatures.some(({ valid }) => valid),
      signatures,
    };
  } finally {
    await close();
  }
}

/** The error that a report without a valid signature ends with, or undefined. */
export const signatureFailure = (report: SignatureReport): OcibundleError | undefined =>
  report.valid ? undefined : unsigned(report.name, report.digest, report.signatures);
