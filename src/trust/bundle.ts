import { Buffer } from "node:buffer";
import * as v from "valibot";
import { parseDocument } from "../oci/document.ts";
import { statementType } from "./statement.ts";

/** A Sigstore bundle: an envelope (DSSE) with what it takes to verify it. cosign 3 keeps one a referrer. */
export const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json";

/** Bundles of all versions, as artifact type or layer. */
export const isBundleType = (mediaType: string): boolean =>
  /^application\/vnd\.dev\.sigstore\.bundle(?:\.|\+|$)/i.test(mediaType);

/** What such a referrer's annotations are called. */
export const bundleAnnotations = {
  content: "dev.sigstore.bundle.content",
  predicate: "dev.sigstore.bundle.predicateType",
} as const;

/** The bundle of a statement that was signed with a key, as JSON. */
export const keyBundle = (payload: Uint8Array, signature: Uint8Array, keyId: string): Uint8Array =>
  Buffer.from(
    JSON.stringify({
      mediaType: bundleType,
      verificationMaterial: { publicKey: { hint: keyId } },
      dsseEnvelope: {
        payload: Buffer.from(payload).toString("base64"),
        payloadType: statementType,
        signatures: [{ sig: Buffer.from(signature).toString("base64") }],
      },
    }),
  );

/** Protobuf's JSON takes both alphabets of base64, with padding or without. */
const BytesSchema = v.pipe(
  v.string("must be base64"),
  v.regex(/^[A-Za-z0-9+/_-]*={0,2}$/, "must be base64"),
  v.transform((text): Uint8Array => Buffer.from(text, "base64")),
);

const BundleSchema = v.looseObject({
  mediaType: v.pipe(v.string(), v.check(isBundleType, "must be that of a Sigstore bundle")),
  verificationMaterial: v.looseObject({
    publicKey: v.optional(v.looseObject({ hint: v.optional(v.string(), "") })),
    certificate: v.optional(v.looseObject({})),
    x509CertificateChain: v.optional(v.looseObject({})),
  }),
  dsseEnvelope: v.optional(
    v.looseObject({
      payload: BytesSchema,
      payloadType: v.string(),
      signatures: v.pipe(
        v.array(v.looseObject({ sig: BytesSchema })),
        v.length(1, "must have one entry"),
      ),
    }),
  ),
});

/** What of a Sigstore bundle is checked here. */
export interface Bundle {
  /** Undefined for one that signs something other than a statement. */
  envelope: { type: string; payload: Uint8Array; signature: Uint8Array } | undefined;
  /** Who signed: a key, by its id, which nobody vouches for; or the holder of a certificate. */
  signer: { kind: "key"; id: string } | { kind: "certificate" };
  /** The whole document, for who reads its certificates. */
  json: unknown;
}

/** Reads a bundle. Nothing in it is verified. Throws `file`. */
export function readBundle(bytes: Uint8Array, on: string): Bundle {
  const document = parseDocument(bytes, BundleSchema, on);
  const { dsseEnvelope: envelope, verificationMaterial: material } = document;
  const [signature] = envelope?.signatures ?? [];
  const isCertified =
    material.certificate !== undefined || material.x509CertificateChain !== undefined;
  return {
    envelope:
      envelope === undefined || signature === undefined
        ? undefined
        : { type: envelope.payloadType, payload: envelope.payload, signature: signature.sig },
    signer: isCertified
      ? { kind: "certificate" }
      : { kind: "key", id: material.publicKey?.hint ?? "" },
    json: JSON.parse(new TextDecoder().decode(bytes)),
  };
}
