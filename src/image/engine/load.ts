import { Buffer } from "node:buffer";
import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import type { BlobSource } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, digestHex, hasherFor, shortDigest } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import { blockSize, endSize, entryHeader, paddingAfter } from "../../store/archive/header.ts";
import { blobChunks } from "../../store/blob-chunks.ts";
import { blobPath, layoutFileBytes, layoutFileName } from "../../store/layout/documents.ts";
import { dockerManifestName } from "../conversion/docker-manifest.ts";
import { type EngineClient, nameOf } from "./client.ts";

/** An image that an engine is to have. */
export interface ImageToLoad {
  manifest: RawManifest;
  config: Descriptor;
  layers: readonly Descriptor[];
  /** The name it is to have there. */
  repository: string;
  tag: string;
  source(descriptor: Descriptor, signal: AbortSignal): Promise<BlobSource>;
}

/** Callbacks for the progress of each blob. */
export interface LoadOptions {
  signal: AbortSignal;
  /** Called when a blob begins, with further bytes of it, and when all of it has gone out. */
  onStart(descriptor: Descriptor): void;
  onBytes(descriptor: Descriptor, bytes: number): void;
  onDone(descriptor: Descriptor): void;
}

/**
 * Brings an image into an engine, under a name. One that is there already is only given the name.
 *
 * Blobs go out as they come, checked before their last byte: nothing is kept on this machine. Throws
 * `denied`, `network` as the engine answers, `integrity` for other bytes, and what the source throws.
 */
export async function loadImage(
  client: EngineClient,
  image: ImageToLoad,
  options: LoadOptions,
): Promise<"loaded" | "present"> {
  const { manifest, config } = image;
  // Engines name an image by its config, or where containerd keeps them by its manifest.
  for (const id of [config.digest, manifest.digest]) {
    if (!(await hasImage(client, id, options.signal))) continue;
    await tagImage(client, id, image, options.signal);
    return "present";
  }
  const entries = archiveEntries(image);
  const size = entries.reduce(
    (sum, entry) => sum + blockSize + entry.size + paddingAfter(entry.size),
    endSize,
  );
  const answer = await client.post(
    "/images/load?quiet=1",
    { type: "application/x-tar", size, chunks: archiveChunks(entries, image, options) },
    options.signal,
  );
  await readAnswer(client, answer.body);
  return "loaded";
}

async function hasImage(client: EngineClient, id: Digest, signal: AbortSignal): Promise<boolean> {
  try {
    const { body } = await client.get(`/images/${id}/json`, signal);
    await passOver(body);
    return true;
  } catch (error) {
    if (error instanceof OcibundleError && error.code === "not_found") return false;
    throw error;
  }
}

async function tagImage(
  client: EngineClient,
  id: Digest,
  { repository, tag }: ImageToLoad,
  signal: AbortSignal,
): Promise<void> {
  const query = new URLSearchParams({ repo: repository, tag });
  const { body } = await client.post(`/images/${id}/tag?${query}`, undefined, signal);
  await passOver(body);
}

async function passOver(body: AsyncIterable<Uint8Array>): Promise<void> {
  const chunks = body[Symbol.asyncIterator]();
  while ((await chunks.next()).done !== true);
}

interface ArchiveEntry {
  path: string;
  size: number;
  content: Uint8Array | Descriptor;
}

const bytesEntry = (path: string, content: Uint8Array): ArchiveEntry => ({
  path,
  size: content.byteLength,
  content,
});

const jsonEntry = (path: string, value: unknown): ArchiveEntry =>
  bytesEntry(path, Buffer.from(JSON.stringify(value)));

/**
 * What both readers of archives understand: a layout, which keeps the manifest's digest, and beside it
 * the manifest.json of `docker save`, which names the same files.
 */
function archiveEntries({
  manifest,
  config,
  layers,
  repository,
  tag,
}: ImageToLoad): ArchiveEntry[] {
  const name = `${repository}:${tag}`;
  const blobs = new Map([config, ...layers].map((blob) => [blob.digest, blob]));
  return [
    bytesEntry(layoutFileName, layoutFileBytes),
    jsonEntry("index.json", {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [
        {
          mediaType: manifest.mediaType,
          digest: manifest.digest,
          size: manifest.bytes.byteLength,
          annotations: {
            // containerd's own, which Docker and Podman read too: the name with its tag.
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": tag,
          },
        },
      ],
    }),
    jsonEntry(dockerManifestName, [
      {
        Config: blobPath(config.digest),
        RepoTags: [name],
        Layers: layers.map(({ digest }) => blobPath(digest)),
      },
    ]),
    bytesEntry(blobPath(manifest.digest), manifest.bytes),
    ...[...blobs.values()].map((blob) => ({
      path: blobPath(blob.digest),
      size: blob.size,
      content: blob,
    })),
  ];
}

async function* archiveChunks(
  entries: readonly ArchiveEntry[],
  image: ImageToLoad,
  options: LoadOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const { path, size, content } of entries) {
    yield entryHeader(path, size);
    if (content instanceof Uint8Array) yield content;
    else yield* verifiedChunks(content, image, options);
    yield new Uint8Array(paddingAfter(size));
  }
  yield new Uint8Array(endSize);
}

/** A blob's bytes; the last of them only once all are known to be right. */
async function* verifiedChunks(
  descriptor: Descriptor,
  { source }: ImageToLoad,
  { signal, onStart, onBytes, onDone }: LoadOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { digest, size } = descriptor;
  const hash = hasherFor(digest);
  const range = { start: 0, end: size };
  const isRight = (): boolean => hash.digest("hex") === digestHex(digest);
  let seen = 0;
  onStart(descriptor);
  if (size === 0 && isRight()) {
    onDone(descriptor);
    return;
  }
  for await (const chunk of blobChunks(await source(descriptor, signal), range, signal)) {
    seen += chunk.byteLength;
    hash.update(chunk);
    if (seen > size || (seen === size && !isRight())) break;
    onBytes(descriptor, chunk.byteLength);
    yield chunk;
    if (seen === size) {
      onDone(descriptor);
      return;
    }
  }
  throw new OcibundleError(
    "integrity",
    seen === size
      ? `blob ${shortDigest(digest)}: the content does not match this digest`
      : `blob ${shortDigest(digest)}: ${seen > size ? "more than" : "only"} ${Math.min(seen, size)} of ${size} bytes`,
  );
}

const LineSchema = v.looseObject({ error: v.optional(v.string()) });

/** What an engine says while it loads is short; more is not kept. */
const maxAnswerBytes = 1024 * 1024;

/** An engine answers 200 and a line of JSON for each thing it does, failures among them. */
async function readAnswer(client: EngineClient, body: AsyncIterable<Uint8Array>): Promise<void> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size <= maxAnswerBytes) chunks.push(new Uint8Array(chunk));
  }
  for (const line of Buffer.concat(chunks).toString().split("\n")) {
    const failure = errorOf(line);
    if (failure === undefined) continue;
    const said = failure.replaceAll(/\s+/g, " ").trim();
    throw new OcibundleError("network", `${nameOf(client.endpoint)}: ${said}`);
  }
}

function errorOf(line: string): string | undefined {
  try {
    return v.parse(LineSchema, JSON.parse(line)).error;
  } catch {
    // Not a line of JSON: an engine may say what it likes on the way.
    return undefined;
  }
}
