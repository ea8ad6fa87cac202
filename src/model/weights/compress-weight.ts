import { faultKind } from "../../runtime/file-faults.ts";
import type { WorkerPool } from "../../runtime/worker-pool.ts";
import type { Codec, Compressed } from "../../runtime/worker-protocol.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { cacheFailure } from "../../store/cache/directory.ts";
import { compressionLevels } from "../format/compression.ts";

export interface CompressOptions {
  cache: Pick<Cache, "root" | "tempPath" | "discardTemp" | "putFile">;
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
    const input = { path, start: 0, end: size };
    const job = { input, codec, level: compressionLevels[codec], output };
    const compressed = await pool.compress(job, { signal, onBytes });
    await cache.putFile(output, compressed.output.digest, compressed.output.size, { name });
    return compressed;
  } catch (error) {
    // A full disk is the cache's: the weight file is only read.
    const full = ["full", "read-only"].includes(faultKind(error) ?? "");
    throw full ? cacheFailure(cache.root, error) : error;
  } finally {
    await cache.discardTemp(output);
  }
}
