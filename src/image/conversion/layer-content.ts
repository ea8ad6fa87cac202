import { createHash, type Hash } from "node:crypto";
import { OcibundleError } from "../../errors.ts";
import type { BlobSource } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import { compressionOf } from "../../store/archive/archive.ts";
import { writeAll } from "../../store/verified-write.ts";
import { createFile, privateMode } from "../../runtime/own-file.ts";
import { decompress } from "./decompress.ts";
import { gzip } from "./gzip.ts";
import type { Layer } from "./layer.ts";
import { unwritable } from "../../runtime/file-faults.ts";

/** The bytes of a layer, its beginning looked at. */
export interface OpenedLayer {
  head: Uint8Array;
  chunks: AsyncGenerator<Uint8Array, void, undefined>;
}

/** Enough to tell a tar file, a compressed one and a JSON document from each other. */
const headSize = 512;

/** Looks at the beginning of something that can be read once; `chunks` is still all of it. */
export async function lookAtHead(input: AsyncIterable<Uint8Array>): Promise<OpenedLayer> {
  const iterator = input[Symbol.asyncIterator]();
  const parts: Uint8Array[] = [];
  let length = 0;
  while (length < headSize) {
    const next = await iterator.next();
    if (next.done === true) break;
    // A copy: the buffer may be filled anew for the next chunk.
    parts.push(new Uint8Array(next.value));
    length += next.value.byteLength;
  }
  async function* chunks() {
    try {
      yield* parts;
      for (;;) {
        const next = await iterator.next();
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  const head = new Uint8Array(Math.min(length, headSize));
  let filled = 0;
  for (const part of parts) {
    head.set(part.subarray(0, headSize - filled), filled);
    filled += part.byteLength;
  }
  return { head, chunks: chunks() };
}

/**
 * Writes a layer to a file as it is to be pushed: compressed when it is not.
 *
 * `on` names the layer in messages. Throws `file` for a compression that registries do not take, `integrity` for
 * compressed data that is damaged, and as `unwritable` when the file can't be written.
 */
export async function writeLayer(layer: OpenedLayer, path: string, on: string): Promise<Layer> {
  const source = fileSource(path);
  if (compressionOf(layer.head) !== undefined) {
    return writeFile(path, async (write) => ({
      ...(await measureLayer(layer, on, write)),
      source,
    }));
  }
  return writeFile(path, async (write) => {
    const original = createHash("sha256");
    const compressed = createHash("sha256");
    let size = 0;
    for await (const chunk of gzip(hashed(layer.chunks, original))) {
      compressed.update(chunk);
      await write(chunk);
      size += chunk.byteLength;
    }
    const digest = sha256(compressed);
    const descriptor = { mediaType: mediaTypes.ociLayerGzip, digest, size };
    return { diffId: sha256(original), descriptor, source };
  });
}

const layerTypes = {
  gzip: mediaTypes.ociLayerGzip,
  zstd: mediaTypes.ociLayerZstd,
} as const;

/**
 * Reads a compressed layer to its end and says what it is, and what is in it; `write` is given its
 * bytes. Throws as `writeLayer`.
 */
export async function measureLayer(
  { head, chunks }: OpenedLayer,
  on: string,
  write?: (chunk: Uint8Array) => Promise<void>,
): Promise<{ diffId: Digest; descriptor: Descriptor }> {
  const compression = compressionOf(head);
  if (compression !== "gzip" && compression !== "zstd") {
    throw new OcibundleError(
      "file",
      `${on}: ${compression === undefined ? "not compressed" : `compressed with ${compression}`}`,
      { hint: "use layers that are plain tar files, or compressed with gzip or zstd" },
    );
  }
  const blob = createHash("sha256");
  const content = createHash("sha256");
  let size = 0;
  async function* passing() {
    for await (const chunk of chunks) {
      blob.update(chunk);
      size += chunk.byteLength;
      await write?.(chunk);
      yield chunk;
    }
  }
  await decompress(compression, passing(), on, async (decompressed) => {
    for await (const chunk of decompressed) content.update(chunk);
  });
  const mediaType = layerTypes[compression];
  return { diffId: sha256(content), descriptor: { mediaType, digest: sha256(blob), size } };
}

const sha256 = (hash: Hash): Digest => `sha256:${hash.digest("hex")}`;

/** The same chunks, hashed as they pass. */
async function* hashed(
  chunks: AsyncIterable<Uint8Array>,
  hash: Hash,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    hash.update(chunk);
    yield chunk;
  }
}

/** The bytes of a file from an offset on, in bytes. */
export const fileSource = (path: string, offset = 0): BlobSource => ({
  kind: "file",
  path,
  offset,
});

/** Writes a temporary file, which must not exist; what is written first comes first. */
export async function writeFile<T>(
  path: string,
  fill: (write: (chunk: Uint8Array) => Promise<void>) => Promise<T>,
): Promise<T> {
  try {
    const file = await createFile(path, privateMode);
    let position = 0;
    try {
      return await fill(async (chunk) => {
        await writeAll(file, chunk, position);
        position += chunk.byteLength;
      });
    } finally {
      await file.close();
    }
  } catch (error) {
    throw unwritable(path, error);
  }
}
