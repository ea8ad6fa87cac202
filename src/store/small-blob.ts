import { Buffer } from "node:buffer";
import { open } from "node:fs/promises";
import { OcibundleError } from "../errors.ts";
import type { BlobSource, ContentReader } from "../oci/content.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { matchesDigest, shortDigest } from "../oci/digest.ts";

/** Configs are documents; one larger than this is not one that anything reads. */
const maxSmallBlobBytes = 8 * 1024 * 1024;

/** Reads a config or another small document into memory, checked. Throws `integrity`, `file`. */
export async function readSmallBlob(
  reader: ContentReader,
  descriptor: Descriptor,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const on = `${reader.name}: blob ${shortDigest(descriptor.digest)}`;
  if (descriptor.size > maxSmallBlobBytes) {
    throw new OcibundleError("file", `${on}: ${descriptor.size} bytes are too many for a document`);
  }
  const source = await reader.blobSource(descriptor, signal);
  const bytes = await readWhole(source, descriptor.size, signal);
  if (bytes.byteLength !== descriptor.size || !matchesDigest(bytes, descriptor.digest)) {
    throw new OcibundleError("integrity", `${on}: its bytes do not have this digest`);
  }
  return bytes;
}

/** At most `size` + 1 bytes of a source, so that a longer one is noticed without being read. */
async function readWhole(
  source: BlobSource,
  size: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  switch (source.kind) {
    case "bytes":
      return source.bytes;
    case "file": {
      const file = await open(source.path, "r");
      try {
        const buffer = new Uint8Array(size);
        let filled = 0;
        while (filled < size) {
          const { bytesRead } = await file.read(
            buffer,
            filled,
            size - filled,
            source.offset + filled,
          );
          if (bytesRead === 0) break;
          filled += bytesRead;
        }
        return buffer.subarray(0, filled);
      } finally {
        await file.close();
      }
    }
    case "stream": {
      const stream = await source.open({ start: 0, end: size }, signal);
      const chunks: Uint8Array[] = [];
      let length = 0;
      for await (const chunk of stream) {
        chunks.push(chunk);
        length += chunk.byteLength;
        if (length > size) break;
      }
      return Buffer.concat(chunks);
    }
  }
}
