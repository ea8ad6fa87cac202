import { availableParallelism } from "node:os";
import { shortDigest } from "../../oci/digest.ts";
import { createWorkerPool } from "../../runtime/worker-pool.ts";
import { assembledCache, givesContent } from "../../store/cache/assembled.ts";
import { cacheAt } from "../../store/cache/cache.ts";
import { cacheDirectory } from "../../store/cache/directory.ts";
import { type CachedBlob, byLastUse, listBlobs, listUnfinished } from "../../store/cache/list.ts";
import { pruneCache } from "../../store/cache/prune.ts";
import { type VerifyOptions, verifyBlobs } from "../../store/cache/verify.ts";
import type { JobContext } from "../session/session.ts";
import type { CacheContents, CachePruning, CacheVerification } from "../../report/cache.ts";

// What these answer is, with `--json`, part of the surface: docs/cache.md. Sizes are in bytes.

/** Where the cache lies, whether or not it is there yet. */
export const cachePath = (run: Pick<JobContext, "env" | "cwd">): { path: string } => ({
  path: cacheDirectory(run),
});

/** What is in the cache. */
export async function listCache(run: Pick<JobContext, "env" | "cwd">): Promise<CacheContents> {
  const cache = cacheAt(cacheDirectory(run));
  const assembled = assembledCache(cache);
  const blobs = byLastUse([...(await listBlobs(cache)), ...(await listBlobs(assembled))]);
  const unfinished = byLastUse([
    ...(await listUnfinished(cache)),
    ...(await listUnfinished(assembled)),
  ]);
  return { path: cache.root, size: bytesOf([...blobs, ...unfinished]), blobs, unfinished };
}

/** Reads every blob in the cache and removes what is damaged, so that it is fetched again. */
export async function verifyCache(job: JobContext): Promise<CacheVerification> {
  const { emit, signal, flags } = job;
  const cache = cacheAt(cacheDirectory(job));
  const assembled = assembledCache(cache);
  const [plain, made] = [await listBlobs(cache), await listBlobs(assembled)];
  const blobs = [...plain, ...made];
  const size = bytesOf(blobs);
  const pool = createWorkerPool(flags.concurrency ?? availableParallelism());
  emit({ type: "phase", phase: "verify", items: blobs.length, bytes: size });
  try {
    const options: VerifyOptions = {
      pool,
      signal,
      onStart: (blob) => {
        const { size: bytes, names } = blob;
        const item = { phase: "verify", item: itemName(blob), group: "cache", bytes } as const;
        emit({ type: "start", ...item, ...(names[0] === undefined ? {} : { file: names[0] }) });
      },
      onBytes: (blob, bytes) =>
        emit({ type: "progress", phase: "verify", item: itemName(blob), bytes }),
      onDone: (blob) => emit({ type: "done", phase: "verify", item: itemName(blob) }),
    };
    const damaged = [
      ...(await verifyBlobs(cache, plain, options)),
      ...(await verifyBlobs(assembled, made, {
        ...options,
        isIntact: ({ digest }, bytes, stop) =>
          givesContent(assembled, digest, assembled.blobPath(digest), bytes, stop),
      })),
    ];
    return { path: cache.root, blobs: blobs.length, size, damaged };
  } finally {
    pool.close();
  }
}

/**
 * Removes what was not used for `olderThan` milliseconds, and the longest unused beyond `maxSize` bytes;
 * with neither, only what ended processes left. What is in use stays.
 */
export async function pruneUnused(
  { env, cwd, signal }: Pick<JobContext, "env" | "cwd" | "signal">,
  options: { olderThan: number | undefined; maxSize: number | undefined; dryRun: boolean },
): Promise<CachePruning> {
  const cache = cacheAt(cacheDirectory({ env, cwd }));
  const report = await pruneCache(cache, { ...options, signal, now: Date.now() });
  return { path: cache.root, dryRun: options.dryRun, ...report };
}

const itemName = ({ names, digest }: CachedBlob): string =>
  names[0] === undefined ? shortDigest(digest) : `${names[0]} ${shortDigest(digest)}`;

const bytesOf = (items: readonly { size: number }[]): number =>
  items.reduce((sum, { size }) => sum + size, 0);
