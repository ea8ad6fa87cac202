import { Buffer } from "node:buffer";
import { OcibundleError } from "../errors.ts";
import type { ContentReader } from "../oci/content.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { embeddedContent } from "../oci/manifest-members.ts";
import { matchesDigest, shortDigest } from "../oci/digest.ts";
import { blobChunks } from "./blob-chunks.ts";

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
    throw new OcibundleError("file", `${on}: too large for a document: ${descriptor.size} bytes`);
  }
  const embedded = embeddedContent(descriptor, reader.name);
  if (embedded !== undefined) return embedded;
  const source = await reader.blobSource(descriptor, signal);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of blobChunks(source, { start: 0, end: descriptor.size }, signal)) {
    // A copy, which a Buffer's slice is not: a chunk's memory is used again for a later one.
    chunks.push(new Uint8Array(chunk));
    length += chunk.byteLength;
    if (length > descriptor.size) break;
  }
  const bytes = Buffer.concat(chunks);
  if (length !== descriptor.size || !matchesDigest(bytes, descriptor.digest)) {
    throw new OcibundleError("integrity", `${on}: the content does not match this digest`);
  }
  return bytes;
}
