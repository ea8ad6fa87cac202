import { Buffer } from "node:buffer";
import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import { AnnotationsSchema, type Descriptor } from "../../oci/descriptor.ts";
import { type Digest, digestAlgorithm, digestHex, shortDigest } from "../../oci/digest.ts";
import { parseDocument } from "../../oci/document.ts";
import { goObject } from "../../oci/go-object.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import { essenceOf } from "../../oci/media-types.ts";
import { readSmallBlob } from "../../store/small-blob.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import { bundleAnnotations, isBundleType } from "../../trust/bundle.ts";
import {
  certificateAnnotation,
  signatureAnnotation,
  simpleArtifactType,
  simpleSigningType,
} from "../../trust/simple-signing.ts";
import { signPredicate } from "../../trust/statement.ts";

/** Signatures of one manifest that are looked at: real ones have some. */
const maxSignatures = 1000;

/** A signature has some kilobytes; one with more bytes than this is not read. */
const maxSignatureBytes = 1024 * 1024;

/** A signature as it is stored; nothing of it is verified. */
export type StoredSignature = {
  /** The manifest that has it. */
  digest: Digest;
  /** cosign's tag, where it was found by that. */
  tag: string | undefined;
} & (
  | { kind: "bundle"; bytes: Uint8Array }
  | { kind: "simple"; payload: Uint8Array; signature: Uint8Array; isKeyless: boolean }
  | { kind: "unreadable"; reason: string }
);

/** The tag under which cosign 1 and 2 keep the signatures of a manifest; undefined where they have none. */
export const signatureTag = (digest: Digest): string | undefined =>
  digestAlgorithm(digest) === "sha256" ? `sha256-${digestHex(digest)}.sig` : undefined;

interface Options {
  signal: AbortSignal;
  emit: EmitEvent;
}

/**
 * The signatures of a manifest: those under cosign's tag, then those that refer to it. Attestations about it
 * are none. What is broken is yielded as `unreadable`. Throws `network`, `denied`, and `file` where there are more
 * than a manifest has.
 */
export async function* storedSignatures(
  reader: ContentReader,
  subject: Digest,
  { signal, emit }: Options,
): AsyncGenerator<StoredSignature, void, undefined> {
  let count = 0;
  const counted = (): void => {
    count += 1;
    if (count <= maxSignatures) return;
    throw new OcibundleError(
      "file",
      `${reader.name}: more than ${maxSignatures} signatures of ${shortDigest(subject)}`,
      { hint: "delete unneeded referrers" },
    );
  };
  const tag = signatureTag(subject);
  const tagged = tag === undefined ? undefined : await readTagged(reader, tag, signal);
  if (tagged !== undefined) {
    for await (const one of inManifest(reader, tagged, tag, signal)) {
      counted();
      yield one;
    }
  }
  const warn = (message: string): void => emit({ type: "warning", message });
  const entries = (await reader.listReferrers?.(subject, signal, warn)) ?? [];
  for (const entry of entries.filter(isCandidate)) {
    counted();
    let manifest: RawManifest;
    try {
      manifest = await reader.readManifest(entry.digest, signal);
    } catch (error) {
      // One that is listed and gone is none.
      if (isNotFound(error)) continue;
      yield unreadable(error, entry.digest, undefined, signal);
      continue;
    }
    for await (const one of inManifest(reader, manifest, undefined, signal)) {
      counted();
      yield one;
    }
  }
}

const isNotFound = (error: unknown): boolean =>
  error instanceof OcibundleError && error.code === "not_found";

/** Whether a referrer may be a signature; where its list says nothing of it, it has to be read. */
function isCandidate({ artifactType, annotations }: Descriptor): boolean {
  const predicate = annotations?.[bundleAnnotations.predicate];
  if (predicate !== undefined && predicate !== signPredicate) return false;
  const type = essenceOf(artifactType ?? "");
  return type === "" || isBundleType(type) || type === simpleArtifactType;
}

async function readTagged(
  reader: ContentReader,
  tag: string,
  signal: AbortSignal,
): Promise<RawManifest | undefined> {
  try {
    return await reader.readManifest(tag, signal);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

const MoreSchema = goObject({ annotations: v.optional(AnnotationsSchema) });

async function* inManifest(
  reader: ContentReader,
  manifest: RawManifest,
  tag: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<StoredSignature, void, undefined> {
  const { digest } = manifest;
  const on = `${reader.name}: signature ${shortDigest(digest)}`;
  let layers: Descriptor[];
  try {
    layers = membersOf(manifest, on).layers;
    const { annotations } = parseDocument(manifest.bytes, MoreSchema, on);
    const predicate = annotations?.[bundleAnnotations.predicate];
    if (predicate !== undefined && predicate !== signPredicate) return;
  } catch (error) {
    yield unreadable(error, digest, tag, signal);
    return;
  }
  for (const layer of layers) {
    const isBundle = isBundleType(layer.mediaType);
    if (!isBundle && essenceOf(layer.mediaType) !== simpleSigningType) continue;
    if (layer.size > maxSignatureBytes) {
      yield { digest, tag, kind: "unreadable", reason: `too large: ${layer.size} bytes` };
      continue;
    }
    try {
      const bytes = await readSmallBlob(reader, layer, signal);
      const signature = layer.annotations?.[signatureAnnotation] ?? "";
      const isKeyless = layer.annotations?.[certificateAnnotation] !== undefined;
      yield isBundle
        ? { digest, tag, kind: "bundle", bytes }
        : {
            digest,
            tag,
            kind: "simple",
            payload: bytes,
            signature: Buffer.from(signature, "base64"),
            isKeyless,
          };
    } catch (error) {
      yield unreadable(error, digest, tag, signal);
    }
  }
}

/** What is broken for good. Throws what may work another time. */
function unreadable(
  error: unknown,
  digest: Digest,
  tag: string | undefined,
  signal: AbortSignal,
): StoredSignature {
  signal.throwIfAborted();
  const isBroken =
    error instanceof OcibundleError && ["not_found", "integrity", "file"].includes(error.code);
  if (!isBroken) throw error;
  return { digest, tag, kind: "unreadable", reason: error.message };
}
