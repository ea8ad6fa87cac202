import { errno, OcibundleError } from "../../errors.ts";
import { digestOf, shortDigest } from "../../oci/digest.ts";
import { compressBytes, readSmallFile, smallFileBytes } from "../../runtime/small-file.ts";
import { createWorkerPool } from "../../runtime/worker-pool.ts";
import { fileEndedCode } from "../../runtime/worker-protocol.ts";
import { availableParallelism } from "node:os";
import { formChecks, mostEncoders } from "./confirm-form.ts";
import { compressWeight } from "./compress-weight.ts";
import { makePart } from "./store-parts.ts";
import { compressionLevels } from "../format/compression.ts";
import type { Session } from "../session/session.ts";
import type { StoredWeights } from "./lock-sources.ts";
import { compressionOf, type WeightEntry } from "../format/weight-entry.ts";
import { unreadable } from "./file-errors.ts";

/**
 * Blobs of weight files that are stored compressed: from the cache, or made again from the file. What is made throws
 * `integrity` where it is another blob than in `lock`, which is the lock's name.
 */
export function storedWeights({ cache, emit }: Session, lock: string): StoredWeights {
  const mismatch = (path: string, cause?: unknown): OcibundleError =>
    new OcibundleError("integrity", `"${path}" does not match ${lock}`, {
      hint: "run `ocibundle lock` again, then push again",
      cause,
    });
  const forms = formChecks(cache, Math.min(availableParallelism(), mostEncoders));
  return {
    forms,
    cached: (entry, signal) => cache.find(entry, signal),
    async encode({ name }, { part, path, start }, signal) {
      const { encoding, digest, size, stored } = part;
      if (encoding === "none") throw mismatch(path);
      const item = { phase: "compress", item: `${name} ${shortDigest(digest)}` } as const;
      emit({ type: "start", ...item, group: "weights", bytes: size });
      const pool = createWorkerPool(1);
      try {
        const onBytes = (bytes: number) => emit({ type: "progress", ...item, bytes });
        const options = { cache, pool, signal, onBytes };
        const made = await makePart({ part, name, path, start }, encoding, options);
        emit({ type: "done", ...item });
        if (made.digest !== stored.digest) {
          // The original is the right one: another version of zstd, or of this program, has encoded it.
          const which = `"${path}": part ${shortDigest(digest)}`;
          throw new OcibundleError(
            "integrity",
            `${which} is encoded to another blob than in ${lock}`,
            {
              hint: "run `ocibundle lock --compression none`, then `ocibundle lock --compression auto`, to encode the parts again",
            },
          );
        }
        await forms.note(part);
        return { kind: "file", path: cache.blobPath(made.digest), offset: 0 };
      } finally {
        pool.close();
      }
    },
    async compress(entry, path, signal) {
      const codec = compressionOf(entry.mediaType);
      if (codec === "none") throw mismatch(path);
      const { name, sizeUncompressed: size } = entry;
      const item = { phase: "compress", item: name } as const;
      try {
        // Small ones need no place on disk, so that they go through where the cache is full.
        if (size <= smallFileBytes) return compressSmall(entry, path, codec);
        emit({ type: "start", ...item, group: "weights", bytes: size });
        const pool = createWorkerPool(1);
        try {
          const made = await compressWeight({ name, path, size }, codec, {
            cache,
            pool,
            signal,
            onBytes: (bytes) => emit({ type: "progress", ...item, bytes }),
          });
          emit({ type: "done", ...item });
          if (made.output.digest !== entry.digest) throw mismatch(path);
          const { digestOriginal: digest, size: storedSize } = entry;
          const form = { digest: entry.digest, size: storedSize };
          await forms.note({ digest, size, encoding: codec, stored: form });
          return { kind: "file", path: cache.blobPath(entry.digest), offset: 0 };
        } finally {
          pool.close();
        }
      } catch (error) {
        const code = errno(error);
        if (error instanceof OcibundleError || code === undefined) throw error;
        throw code === fileEndedCode ? mismatch(path, error) : unreadable(path, error);
      }
    },
  };

  function compressSmall(entry: WeightEntry, path: string, codec: "gzip" | "zstd") {
    const original = readSmallFile({ path, start: 0, end: entry.sizeUncompressed });
    const bytes = compressBytes(original, codec, compressionLevels[codec]);
    if (digestOf(bytes) !== entry.digest) throw mismatch(path);
    return { kind: "bytes", bytes } as const;
  }
}
