import { rm, writeFile } from "node:fs/promises";
import { errno } from "../errors.ts";
import { compressBytes, readSmallFile, smallFileBytes } from "../runtime/small-file.ts";
import type { WorkerPool } from "../runtime/worker-pool.ts";
import type { Codec, Compressed } from "../runtime/worker-protocol.ts";
import { digestOf } from "../oci/digest.ts";
import type { Cache } from "../store/cache.ts";
import { cacheFailure } from "../store/cache-folder.ts";

/** The levels that blobs are made with: what a lock pins can only be made again with the same. */
export const compressionLevels = { gzip: 6, zstd: 3 } as const satisfies Record<Codec, number>;

export interface CompressOptions {
  cache: Pick<Cache, "root" | "tempPath" | "putFile">;
  pool: WorkerPool;
  signal: AbortSignal;
  onBytes?: ((bytes: number) => void) | undefined;
}

/**
 * Compresses a weight file of `size` bytes into the cache, and digests both sides in the same pass. The
 * same bytes come out each time. Throws errno errors and `fileEndedCode` for the file, `file` for the
 * cache.
 */
export async function compressWeight(
  { name, path, size }: { name: string; path: string; size: number },
  codec: Codec,
  { cache, pool, signal, onBytes }: CompressOptions,
): Promise<Compressed> {
  const output = await cache.tempPath("compress");
  try {
    const level = compressionLevels[codec];
    let compressed: Compressed;
    if (size <= smallFileBytes) {
      const bytes = readSmallFile(path, size);
      const stored = compressBytes(bytes, codec, level);
      await writeFile(output, stored);
      compressed = {
        input: { digest: digestOf(bytes), size },
        output: { digest: digestOf(stored), size: stored.byteLength },
      };
      onBytes?.(size);
    } else {
      const input = { path, start: 0, end: size };
      compressed = await pool.compress({ input, codec, level, output }, { signal, onBytes });
    }
    await cache.putFile(output, compressed.output.digest, compressed.output.size, { name });
    return compressed;
  } catch (error) {
    await rm(output, { force: true }).catch(() => undefined);
    // A full disk is the cache's: the weight file is only read.
    const full = ["ENOSPC", "EDQUOT", "EROFS"].includes(errno(error) ?? "");
    throw full ? cacheFailure(cache.root, error) : error;
  }
}
