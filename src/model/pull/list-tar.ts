import { createHash } from "node:crypto";
import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import { tarEntries, unmarkedIsWhole } from "../../store/archive/entries.ts";
import { streamTarSource } from "../../store/archive/source.ts";
import { blobChunks } from "../../store/blob-chunks.ts";
import type { StoredTar } from "../format/artifact/contents.ts";
import { isCompressedBlob } from "../graph/tar-ranges.ts";
import type { UnpackedEntry } from "./unpack-layer.ts";

/**
 * The entries of an archive that is not compressed, its files with their digests and where in the blob they lie:
 * it is read once, and nothing of it is kept. Undefined for a compressed one. Throws `integrity` for other bytes
 * than the blob's digest says, and as `tarEntries` does.
 */
export async function listPlainTar(
  reader: ContentReader,
  { blob, overlay, diffId }: StoredTar,
  on: string,
  signal: AbortSignal,
): Promise<UnpackedEntry[] | undefined> {
  const source = await reader.blobSource(blob, signal);
  if (await isCompressedBlob(source, blob, signal)) return undefined;
  const whole = createHash("sha256");
  async function* hashed(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of blobChunks(source, { start: 0, end: blob.size }, signal)) {
      whole.update(chunk);
      yield chunk;
    }
  }
  const stream = streamTarSource(hashed());
  try {
    const entries: UnpackedEntry[] = [];
    for await (const { type, name, size, offset, target } of tarEntries(stream, on, {
      ofLayer: overlay,
      onUnmarked: unmarkedIsWhole,
    })) {
      if (type === "directory") entries.push({ type, name });
      else if (type !== "file") entries.push({ type, name, target });
      else {
        const file = createHash("sha256");
        for await (const chunk of stream.chunks(size)) file.update(chunk);
        entries.push({ type, name, size, digest: `sha256:${file.digest("hex")}`, offset });
      }
    }
    const digest = `sha256:${whole.digest("hex")}`;
    for (const wanted of [blob.digest, diffId ?? digest]) {
      if (digest === wanted || !wanted.startsWith("sha256:")) continue;
      throw new OcibundleError(
        "integrity",
        `${on}: the content has digest ${digest}, expected ${wanted}`,
      );
    }
    return entries;
  } finally {
    await stream.close();
  }
}
