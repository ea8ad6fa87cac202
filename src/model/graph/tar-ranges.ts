import { Buffer } from "node:buffer";
import { OcibundleError } from "../../errors.ts";
import type { BlobSource, ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { shortDigest } from "../../oci/digest.ts";
import { tarEntries, unmarkedIsWhole } from "../../store/archive/entries.ts";
import { rangeTarSource } from "../../store/archive/range-source.ts";
import { blobChunks } from "../../store/blob-chunks.ts";
import type { StoredTar } from "../format/artifact/contents.ts";
import { quoted } from "../format/weight-entry.ts";

/** Magic bytes of what a layer may be compressed with, whatever its media type says. */
const magics: readonly (readonly number[])[] = [
  [0x1f, 0x8b],
  [0x28, 0xb5, 0x2f, 0xfd],
];

/** Whether bytes are the beginning of a gzip or zstd stream. */
const isCompressed = (head: Uint8Array): boolean =>
  magics.some((magic) => magic.every((byte, index) => head[index] === byte));

/** Whether a blob's first bytes are those of compressed data, whatever its media type says. */
export async function isCompressedBlob(
  source: BlobSource,
  { size }: Pick<Descriptor, "size">,
  signal: AbortSignal,
): Promise<boolean> {
  const range = { start: 0, end: Math.min(512, size) };
  for await (const chunk of blobChunks(source, range, signal)) return isCompressed(chunk);
  return false;
}

/**
 * Where the expected files lie in a plain tar archive: only its headers are fetched. Undefined for one that
 * is compressed. The bytes are not verified here: a file's digest decides when it is fetched.
 *
 * Throws `integrity` where the archive has other files than expected, or of another size.
 */
export async function findInTar(
  reader: ContentReader,
  { blob, expected }: StoredTar,
  signal: AbortSignal,
): Promise<Map<string, number> | undefined> {
  const source = await reader.blobSource(blob, signal);
  const read = async (start: number, end: number): Promise<Uint8Array> => {
    const chunks: Uint8Array[] = [];
    // A copy, which a Buffer's slice is not: a chunk's memory is used again for a later one.
    for await (const chunk of blobChunks(source, { start, end }, signal))
      chunks.push(new Uint8Array(chunk));
    return Buffer.concat(chunks);
  };
  if (await isCompressedBlob(source, blob, signal)) return undefined;

  const on = `${reader.name}: layer ${shortDigest(blob.digest)}`;
  const wanted = expected ?? new Map();
  const offsets = new Map<string, number>();
  for await (const entry of tarEntries(rangeTarSource(read, blob.size), on, {
    onUnmarked: unmarkedIsWhole,
  })) {
    if (entry.type !== "file") continue;
    const file = wanted.get(entry.name);
    if (file === undefined) continue;
    if (file.size !== entry.size) {
      throw new OcibundleError(
        "integrity",
        `${on}: ${quoted(entry.name)} has ${entry.size} bytes, expected ${file.size}`,
      );
    }
    offsets.set(entry.name, entry.offset);
    // What follows is not wanted.
    if (offsets.size === wanted.size) break;
  }
  for (const name of wanted.keys()) {
    if (!offsets.has(name)) {
      throw new OcibundleError("integrity", `${on}: ${quoted(name)} is missing`);
    }
  }
  return offsets;
}
