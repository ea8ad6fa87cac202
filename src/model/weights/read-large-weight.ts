import { basename } from "node:path";
import { compressWeight } from "./compress-weight.ts";
import { minSaving } from "../format/compression.ts";
import { parallel } from "../../flow/parallel.ts";
import type { Hashed } from "../../runtime/worker-protocol.ts";
import type { PartPlaces } from "../../runtime/part-places.ts";
import {
  type FileCut,
  finish,
  knownParts,
  type OpenFile,
  readFailure,
  type Run,
  type Sha256,
} from "./file-state.ts";

/** Reads one large file in a worker: hashes it, or compresses it into the cache. */
export async function readLarge(file: OpenFile, run: Run): Promise<void> {
  const began = Date.now();
  try {
    const auto = file.choice === "auto" ? await judge(file, run) : undefined;
    const codec = file.choice === "auto" ? auto : file.choice;
    const verdict = auto === undefined ? {} : { auto };
    if (codec !== undefined && codec !== "none") {
      const { input, output } = await drawn(file, "compress", run, (onBytes) =>
        compressWeight(file, codec, { ...run, onBytes }),
      );
      await finish(file, began, { original: input, ...verdict, stored: { codec, ...output } }, run);
      return;
    }
    if (file.cut !== undefined) {
      await finish(file, began, { ...(await hashCut(file, file.cut, run)), ...verdict }, run);
      return;
    }
    if (file.known !== undefined) {
      const original = { digest: file.known.digest as Sha256, size: file.size };
      await finish(file, began, { original, ...verdict }, run);
      return;
    }
    const { path, size } = file;
    const [original] = await drawn(file, "hash", run, (onBytes) =>
      run.pool.hash([{ path, start: 0, end: size }], { signal: run.signal, onBytes }),
    );
    if (original === undefined) throw new Error("a file was hashed to nothing");
    await finish(file, began, { original, ...verdict }, run);
  } catch (error) {
    throw readFailure(file, error);
  }
}

/** So many bytes of parts are hashed as one job: few messages, and work for every core until the end. */
const jobBytes = 64 * 1024 * 1024;

/** Hashes the parts of a file, and the whole where it is not known, at the same time. */
async function hashCut(file: OpenFile, { plan }: FileCut, run: Run) {
  const { path, size, known } = file;
  const ofParts = knownParts(known, file.cut);
  const batches: PartPlaces[][] = [];
  let bytes = jobBytes;
  for (const part of ofParts === undefined ? plan : []) {
    if (bytes >= jobBytes) {
      batches.push([]);
      bytes = 0;
    }
    batches.at(-1)?.push(part);
    bytes += part.bytes;
  }
  return drawn(file, "hash", run, async (onBytes) => {
    // The whole is one stream of bytes, and takes longest: it begins first.
    const whole = async (signal: AbortSignal) => {
      if (known !== undefined) return { digest: known.digest as Sha256, size };
      const [hashed] = await run.pool.hash([{ path, start: 0, end: size }], { signal, onBytes });
      if (hashed === undefined) throw new Error("a file was hashed to nothing");
      return hashed;
    };
    const some = (batch: PartPlaces[]) => (signal: AbortSignal) =>
      run.pool.hashParts(
        batch.map(({ numbers }) => ({ path, places: numbers })),
        { signal, onBytes: known === undefined ? undefined : onBytes },
      );
    const original: { hashed?: Hashed } = {};
    const jobs = [
      async (signal: AbortSignal) => {
        original.hashed = await whole(signal);
        return [];
      },
      ...batches.map(some),
    ];
    const hashed = await parallel(jobs, jobs.length, run.signal, (job, signal) => job(signal));
    const digests = hashed.flat().map(({ digest }) => digest);
    if (original.hashed === undefined) throw new Error("a file was hashed to nothing");
    return { original: original.hashed, parts: ofParts ?? digests };
  });
}

async function judge({ path, size }: OpenFile, { pool, signal }: Run): Promise<"none" | "zstd"> {
  const [saved] = await pool.probe([{ path, size }], { signal });
  return saved !== undefined && saved >= minSaving ? "zstd" : "none";
}

/** Does work on a file while its progress is told. */
async function drawn<T>(
  { name, path, size }: OpenFile,
  phase: "hash" | "compress",
  { emit }: Run,
  work: (onBytes: (bytes: number) => void) => Promise<T>,
): Promise<T> {
  emit({ type: "start", phase, item: name, group: "weights", bytes: size, file: basename(path) });
  const result = await work((bytes) => emit({ type: "progress", phase, item: name, bytes }));
  emit({ type: "done", phase, item: name });
  return result;
}
