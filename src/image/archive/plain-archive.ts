import { open } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { errno, OcibundleError } from "../../errors.ts";
import { compressionOf } from "../../store/archive/archive.ts";
import { fileChunks } from "../../store/file-chunks.ts";
import { writeFile } from "../conversion/layer-content.ts";
import type { TempFolder } from "../conversion/temp-folder.ts";

/**
 * The path of an archive that can be read at any place: the file itself, or where it is compressed
 * with gzip or zstd, a decompressed copy in `temp`. A file that can't be opened is left to whoever
 * reads it. Throws `file` for damaged data and when there is no room.
 */
export async function plainArchive(
  path: string,
  on: string,
  temp: TempFolder,
  signal: AbortSignal,
): Promise<string> {
  const compression = compressionOf(await firstBytes(path));
  if (compression !== "gzip" && compression !== "zstd") return path;
  const decompressed = await temp.newFile();
  const decompressor = compression === "gzip" ? createGunzip() : createZstdDecompress();
  async function* compressed() {
    for await (const chunk of fileChunks(path, 0, Number.MAX_SAFE_INTEGER, signal)) {
      yield new Uint8Array(chunk);
    }
  }
  try {
    await writeFile(decompressed, (write) =>
      pipeline(compressed, decompressor, async (chunks: AsyncIterable<Uint8Array>) => {
        for await (const chunk of chunks) await write(chunk);
      }),
    );
  } catch (cause) {
    if (!errno(cause)?.startsWith("Z")) throw cause;
    throw new OcibundleError("file", `${on}: its ${compression} data is damaged`, { cause });
  }
  return decompressed;
}

async function firstBytes(path: string): Promise<Uint8Array> {
  try {
    const file = await open(path, "r");
    try {
      return (await file.read(new Uint8Array(8), 0, 8, 0)).buffer;
    } finally {
      await file.close();
    }
  } catch {
    return new Uint8Array(0);
  }
}
