import { Buffer } from "node:buffer";
import * as v from "valibot";
import { type Digest, DigestSchema } from "../oci/digest.ts";
import { parseDocument } from "../oci/document.ts";

/**
 * Signatures as cosign 1 and 2 keep them: a payload that names a digest ("simple signing",
 * containers-signature.5) is the layer, and an annotation of the layer signs its bytes.
 */
export const simpleSigningType = "application/vnd.dev.cosign.simplesigning.v1+json";
/** The annotation with a layer's signature, in Base64. */
export const signatureAnnotation = "dev.cosignproject.cosign/signature";
/** The annotation with the signer's certificate, as PEM. */
export const certificateAnnotation = "dev.sigstore.cosign/certificate";

/** The artifact type under which cosign 2 can store the same with a `subject`. */
export const simpleArtifactType = "application/vnd.dev.cosign.artifact.sig.v1+json";

const payloadType = "cosign container image signature";

/** The bytes to be signed for a manifest, as Go writes them. `repository` is `host/path`. */
export const simplePayload = (repository: string, digest: Digest): Uint8Array =>
  Buffer.from(
    JSON.stringify({
      critical: {
        identity: { "docker-reference": repository.replace(/^docker\.io\//, "index.docker.io/") },
        image: { "docker-manifest-digest": digest },
        type: payloadType,
      },
      optional: null,
    }),
  );

const PayloadSchema = v.looseObject({
  critical: v.looseObject({
    image: v.looseObject({ "docker-manifest-digest": DigestSchema }),
    type: v.literal(payloadType, `must be "${payloadType}"`),
  }),
});

/** The digest that a payload is about. Throws `file` for another document. */
export const digestOfPayload = (payload: Uint8Array, on: string): Digest =>
  parseDocument(payload, PayloadSchema, on).critical.image["docker-manifest-digest"];
