import { OcibundleError } from "../errors.ts";
import { createWorkerPool } from "../runtime/worker-pool.ts";
import { openFileRecords } from "../store/file-records.ts";
import { compressionLevels } from "./compression.ts";
import type { Session } from "./session.ts";
import type { StoredWeights } from "./weight-blobs.ts";
import { compressionOf, type WeightEntry } from "./weight-entry.ts";

/** What the cache folder knows of weight files: blobs that were compressed before, digests of unchanged files. */
export function storedWeights({ cache, emit }: Session): StoredWeights {
  const records = openFileRecords(cache);
  return {
    cached: (entry, signal) => cache.find(entry, signal),
    knownDigest: async (path, stats) => (await records.find(path, stats))?.digest,
    async compress(entry, path, signal) {
      const codec = compressionOf(entry.mediaType);
      if (codec === "none") throw mismatch(entry, path);
      const { name, sizeUncompressed } = entry;
      emit({
        type: "start",
        phase: "compress",
        item: name,
        group: "weights",
        bytes: sizeUncompressed,
      });
      const pool = createWorkerPool(1);
      const output = await cache.tempPath(`compress-${entry.digest.slice(7, 19)}`);
      try {
        const made = await pool.compress(
          {
            input: { path, start: 0, end: sizeUncompressed },
            codec,
            level: compressionLevels[codec],
            output,
          },
          {
            signal,
            onBytes: (bytes) => emit({ type: "progress", phase: "compress", item: name, bytes }),
          },
        );
        if (made.input.digest !== entry.digestOriginal || made.output.digest !== entry.digest) {
          throw mismatch(entry, path);
        }
        return await cache.putFile(output, entry.digest, entry.size, { name });
      } finally {
        pool.close();
        await cache.discardTemp(output);
        emit({ type: "done", phase: "compress", item: name });
      }
    },
  };
}

const mismatch = (entry: WeightEntry, path: string): OcibundleError =>
  new OcibundleError(
    "integrity",
    `"${path}" does not give the blob ${entry.digest} that weights.lock says`,
    {
      hint: "the file changed, or another version compressed it; run `ocibundle lock`, then push again",
    },
  );
