import { Buffer } from "node:buffer";
import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import type { BlobToMove, ContentWriter } from "../../oci/content.ts";
import { type Descriptor, DescriptorSchema } from "../../oci/descriptor.ts";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { parseDocument } from "../../oci/document.ts";
import { goObject } from "../../oci/go-object.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { isManifestType, mediaTypes } from "../../oci/media-types.ts";
import { bundleAnnotations, bundleType, keyBundle } from "../../trust/bundle.ts";
import type { PrivateKey } from "../../trust/private-key.ts";
import {
  signatureAnnotation,
  simplePayload,
  simpleSigningType,
} from "../../trust/simple-signing.ts";
import {
  preAuthEncoding,
  signPredicate,
  signStatement,
  statementType,
} from "../../trust/statement.ts";
import { publish, type PublishOptions } from "../graph/publish.ts";
import { signatureTag } from "./stored-signatures.ts";

/** What is signed, and where the signature goes. */
export interface SigningTarget {
  subject: RawManifest;
  /** `host/path`, which the older payload names. */
  repository: string;
  writer: ContentWriter;
  options: Omit<PublishOptions, "tag">;
}

const jsonBytes = (document: unknown): Uint8Array => Buffer.from(JSON.stringify(document));

const blobOf = (descriptor: Descriptor, bytes: Uint8Array, label: string): BlobToMove => ({
  descriptor,
  label,
  group: "other",
  source: () => Promise.resolve({ kind: "bytes", bytes }),
});

const described = (mediaType: string, bytes: Uint8Array): Descriptor => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.byteLength,
});

/**
 * Signs as cosign 3 does: a Sigstore bundle in an artifact that refers to the manifest. Returns the digest of
 * that artifact.
 */
export async function writeBundle(
  { subject, writer, options }: SigningTarget,
  key: PrivateKey,
): Promise<Digest> {
  const payload = signStatement(subject.digest);
  const signature = key.sign(preAuthEncoding(statementType, payload));
  const bundle = keyBundle(payload, signature, key.publicKey.id);
  const config = jsonBytes({});
  const [layer, empty] = [described(bundleType, bundle), described(mediaTypes.ociEmpty, config)];
  const bytes = jsonBytes({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: bundleType,
    config: empty,
    layers: [layer],
    subject: {
      mediaType: subject.mediaType,
      digest: subject.digest,
      size: subject.bytes.byteLength,
    },
    annotations: {
      "org.opencontainers.image.created": new Date().toISOString().replace(/\.\d+/, ""),
      [bundleAnnotations.content]: "dsse-envelope",
      [bundleAnnotations.predicate]: signPredicate,
    },
  });
  const root = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
  const blobs = [blobOf(layer, bundle, "signature"), blobOf(empty, config, "config")];
  await publish({ root, children: [], blobs }, writer, { ...options, tag: undefined });
  return root.digest;
}

/** The manifest that cosign's tag stands for; its other members stay as they are. */
const TaggedSchema = goObject({ layers: v.optional(v.array(DescriptorSchema), []) });

/**
 * Signs as cosign 2 does: a payload that is one more layer of an image under cosign's tag. Layers that are there
 * stay. Returns the digest of that image. Throws `usage` for a digest that such tags don't exist for, `conflict`
 * where something else has the tag.
 */
export async function writeTagged(
  { subject, repository, writer, options }: SigningTarget,
  key: PrivateKey,
): Promise<Digest> {
  const tag = signatureTag(subject.digest);
  if (tag === undefined) {
    throw new OcibundleError("usage", `${subject.digest}: only sha256 has signature tags`, {
      hint: "use --format bundle",
    });
  }
  const payload = simplePayload(repository, subject.digest);
  const layer: Descriptor = {
    ...described(simpleSigningType, payload),
    annotations: { [signatureAnnotation]: Buffer.from(key.sign(payload)).toString("base64") },
  };
  const there = await writer.readTag?.(tag, options.signal);
  if (there !== undefined && !isManifestType(there.mediaType)) {
    throw new OcibundleError("conflict", `${writer.name}: tag "${tag}" is not a signature tag`, {
      hint: "remove that tag, or use --format bundle",
    });
  }
  const on = `${writer.name}: tag "${tag}"`;
  const known = there === undefined ? { layers: [] } : parseDocument(there.bytes, TaggedSchema, on);
  const layers = [...known.layers, layer];
  // cosign writes images: each layer has its entry, and nothing else of the config is looked at.
  const config = jsonBytes({
    architecture: "",
    created: "0001-01-01T00:00:00Z",
    history: layers.map(() => ({ created: "0001-01-01T00:00:00Z" })),
    os: "",
    rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
    config: {},
  });
  const configDescriptor = described(mediaTypes.ociConfig, config);
  const bytes = jsonBytes({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    ...known,
    config: configDescriptor,
    layers,
  });
  const root = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
  const blobs = [blobOf(layer, payload, "signature"), blobOf(configDescriptor, config, "config")];
  await publish({ root, children: [], blobs }, writer, { ...options, tag });
  return root.digest;
}
