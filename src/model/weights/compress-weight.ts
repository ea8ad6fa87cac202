import { faultKind } from "../../runtime/file-faults.ts";
import type { WorkerPool } from "../../runtime/worker-pool.ts";
import type { Compressed, PartCodec } from "../../runtime/worker-protocol.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { cacheFailure } from "../../store/cache/directory.ts";
import { levelOf } from "../format/compression.ts";

/** Where the compressed file goes, and when it is worth keeping. */
export interface CompressOptions {
  cache: Pick<Cache, "root" | "tempPath" | "discardTemp" | "putFile">;
  pool: WorkerPool;
  signal: AbortSignal;
  /** Further bytes of the weight file that were read. */
  onBytes?: ((bytes: number) => void) | undefined;
  /** The least share of the size that must be saved: 0.1 is a tenth. All is kept when undefined. */
  minSaving?: number | undefined;
}

/**
 * Compresses `size` bytes of a weight file into the cache, from `start` on, and digests both sides in the same pass.
 * The same bytes come out each time. What does not save `minSaving` is not kept. Throws errno errors and
 * `fileEndedCode` for the file, and as `cacheFailure` for the cache.
 */
export async function compressWeight(
  { name, path, start = 0, size }: { name: string; path: string; start?: number; size: number },
  codec: PartCodec,
  { cache, pool, signal, onBytes, minSaving }: CompressOptions,
): Promise<Compressed> {
  const output = await cache.tempPath("compress");
  try {
    const input = { path, start, end: start + size };
    const job = { input, codec, level: levelOf(codec), output };
    const compressed = await pool.compress(job, { signal, onBytes });
    const isKept = minSaving === undefined || compressed.output.size <= size * (1 - minSaving);
    if (isKept)
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
