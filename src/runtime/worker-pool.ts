import { partBatches } from "./part-batches.ts";
import type {
  CompressJob,
  Compressed,
  CopyJob,
  FileRange,
  FileToPlace,
  FollowJob,
  Followed,
  Hashed,
  Job,
  PackedFile,
  PackOptions,
  PartCodec,
  PartJob,
  Placed,
  PlacedPart,
  SmallFile,
  WorkerMessage,
} from "./worker-protocol.ts";
import { createWorkerQueue, type JobOptions } from "./worker-queue.ts";

/**
 * Workers that read files: started when there is work for them, each doing one job at a time.
 *
 * Errors of the file system keep their `code` (ENOENT, EACCES) and have the file's index in the job
 * as `item`. An abort rejects with the signal's reason once the worker has let go of its files.
 */
export interface WorkerPool {
  readonly size: number;
  /** Hashes files one after another in one worker: a batch where they are small. */
  hash(files: readonly FileRange[], options: JobOptions): Promise<Hashed[]>;
  /** Hashes parts of files in one worker. */
  hashParts(items: readonly PlacedPart[], options: JobOptions): Promise<Hashed[]>;
  /** Compresses a file range into another file, or encodes it as planes. */
  compress(job: CompressJob, options: JobOptions): Promise<Compressed>;
  /** How much compressing each file would save, as a share of its size; see `probeFile`. */
  probe(files: readonly { path: string; size: number }[], options: JobOptions): Promise<number[]>;
  /** How parts of files are best stored; see `chooseCodec`. */
  choose(
    ranges: readonly FileRange[],
    minSaving: number,
    options: JobOptions,
  ): Promise<("none" | PartCodec)[]>;
  /** Hashes and compresses small files in one worker, writing nothing; see `packSmallFile`. */
  pack(files: readonly SmallFile[], how: PackOptions, options: JobOptions): Promise<PackedFile[]>;
  /** Hashes a file while it is being written, and decompresses it if asked (see follow-file.ts). */
  follow(job: FollowJob, options: JobOptions): Promise<Followed>;
  /** Gathers, hashes, decodes and writes a part of a file (see part-job.ts). */
  part(job: PartJob, options: Pick<JobOptions, "signal">): Promise<Hashed>;
  /** Copies ranges of a file into another one (see copy-job.ts). Resolves to the number of bytes. */
  copy(job: CopyJob, options: JobOptions): Promise<number>;
  /** Flushes files and gives them their names (see place-job.ts); what came of each. */
  place(files: readonly FileToPlace[], options: JobOptions): Promise<Placed[]>;
  /** Ends the workers, and the jobs that are not done with an error. */
  close(): void;
}

/** A pool of at most `size` workers. */
export function createWorkerPool(size: number, start?: () => Worker): WorkerPool {
  const queue = createWorkerQueue(size, start);

  /** The message of this type that ends the job. */
  const result = async <Type extends WorkerMessage["type"]>(
    type: Type,
    job: Job,
    options: JobOptions,
  ): Promise<WorkerMessage & { type: Type }> => {
    const message = await queue.submit(job, options);
    if (isOfType(message, type)) return message;
    throw new Error(`a worker answered "${message.type}" to another job`);
  };

  return {
    size,
    async hash(files, options) {
      if (files.length === 0) return [];
      return (await result("hashed", { kind: "hash", files }, options)).results;
    },
    async hashParts(items, options) {
      if (items.length === 0) return [];
      return (await result("hashed", { kind: "hash-parts", items }, options)).results;
    },
    probe: async (files, options) =>
      (await result("probed", { kind: "probe", files }, options)).results,
    choose: async (ranges, minSaving, options) =>
      (await result("chosen", { kind: "choose", ranges, minSaving }, options)).results,
    pack: async (files, how, options) =>
      (await result("packed", { kind: "pack", files, options: how }, options)).results,
    compress: async (job, options) =>
      (await result("compressed", { kind: "compress", job }, options)).result,
    follow: async (job, options) =>
      (await result("followed", { kind: "follow", job }, options)).result,
    part: partBatches(
      size,
      async (jobs, signal) => (await result("parts", { kind: "parts", jobs }, { signal })).results,
    ),
    copy: async (job, options) => (await result("copied", { kind: "copy", job }, options)).bytes,
    place: async (files, options) =>
      (await result("placed", { kind: "place", files }, options)).results,
    close: () => queue.close(),
  };
}

const isOfType = <Type extends WorkerMessage["type"]>(
  message: WorkerMessage,
  type: Type,
): message is WorkerMessage & { type: Type } => message.type === type;
