import { createHash } from "node:crypto";
import { errno, OcibundleError } from "../../errors.ts";
import type { BlobSource } from "../../oci/content.ts";
import { digestOf, shortDigest } from "../../oci/digest.ts";
import { compressBytes, readSmallFile, smallFileBytes } from "../../runtime/small-file.ts";
import { createWorkerPool, type WorkerPool } from "../../runtime/worker-pool.ts";
import { blobChunks } from "../../store/blob-chunks.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { type FormRecords, openFormRecords } from "../../store/records/form-records.ts";
import { compressionLevels, levelOf } from "../format/compression.ts";
import { decodePart } from "../parts/decode-part.ts";
import type { StoredPart } from "../parts/parts-artifact.ts";
import { changedWhileRead } from "./file-state.ts";

/** What a lock says of the stored form of a part or of a whole file. */
export interface ClaimedForm {
  /** Stored in another form. */
  part: StoredPart;
  /** Where the original lies, if it is on this machine: `start` in bytes. */
  original?: { path: string; start: number } | undefined;
}

/** Originals that are encoded at once at most: each takes its stored size of the disk meanwhile. */
export const mostEncoders = 4;

/** Finds out whether forms are what a lock says of them. */
export interface FormChecks {
  /**
   * Resolves to whether the blob of a claim is the original in the form that is said: by what this machine knows, by
   * the cache's blob, by encoding the original again, and last by decoding the blob that `there` opens, since another
   * version of the program may have encoded it. Throws what reading throws.
   */
  confirm(
    claim: ClaimedForm,
    there: (() => Promise<BlobSource>) | undefined,
    signal: AbortSignal,
  ): Promise<boolean>;
  /** Records a form that this machine has made itself, which need not be checked later. */
  note(part: StoredPart): Promise<void>;
}

/**
 * Checks whose results are recorded, so that each form is checked once on a machine; small files are encoded again in
 * less time than that takes. `workers`: encoders at once.
 */
export function formChecks(cache: Cache, workers: number): FormChecks {
  let running = 0;
  let pool: WorkerPool | undefined;
  let opened: Promise<FormRecords> | undefined;

  const isConfirmed: FormChecks["confirm"] = async ({ part, original }, there, signal) => {
    const { digest, size } = part.stored;
    const cached = await cache.find({ digest: digest as `sha256:${string}`, size }, signal);
    const local: BlobSource | undefined =
      cached === undefined ? undefined : { kind: "file", path: cached, offset: 0 };
    if (local !== undefined && (await decodesTo(local, part, signal))) return true;
    if (original !== undefined) {
      pool ??= createWorkerPool(workers);
      const how = { cache, pool, signal };
      const encoded = await encodesTo(part, original, how).catch((error: unknown) => {
        // A cache that can't be written is no reason to fail, where the blob can be read instead.
        if (there === undefined || !isSystemFault(error)) throw error;
        return false;
      });
      if (encoded) return true;
    }
    return there !== undefined && (await decodesTo(await there(), part, signal));
  };

  /** Asks `find` unless the form is known, and records it where it is right. */
  const recorded = async (
    part: StoredPart,
    find: () => Promise<boolean> | boolean,
  ): Promise<boolean> => {
    running += 1;
    try {
      const { digest, encoding, stored } = part;
      const records = await (opened ??= openFormRecords(cache));
      const known = records.find(digest);
      const isKnown = known?.digest === stored.digest && known.encoding === encoding;
      if (isKnown && known.size === stored.size) return true;
      if (!(await find())) return false;
      if (!isQuick(part)) records.add({ original: digest, encoding, ...stored });
      return true;
    } finally {
      running -= 1;
      if (running === 0) {
        pool?.close();
        pool = undefined;
        await (await opened)?.save();
      }
    }
  };

  return {
    async confirm(claim, there, signal) {
      const { digest, size, encoding, stored } = claim.part;
      if (encoding === "none") return digest === stored.digest && size === stored.size;
      return recorded(claim.part, () => isConfirmed(claim, there, signal));
    },
    async note(part) {
      await recorded(part, () => true);
    },
  };
}

/** Whether the form is made in no time. */
const isQuick = ({ size, encoding }: StoredPart): boolean =>
  size <= smallFileBytes && (encoding === "gzip" || encoding === "zstd");

const isSystemFault = (error: unknown): boolean =>
  error instanceof OcibundleError ? error.code === "system" : errno(error) !== undefined;

/** Whether a blob is decoded to the original that is said. */
async function decodesTo(
  blob: BlobSource,
  { digest, size, encoding, stored }: StoredPart,
  signal: AbortSignal,
): Promise<boolean> {
  const hash = createHash("sha256");
  const input = blobChunks(blob, { start: 0, end: stored.size }, signal);
  let at = 0;
  try {
    await decodePart(
      { encoding, size },
      input,
      `blob ${shortDigest(stored.digest)}`,
      async (chunks) => {
        for await (const chunk of chunks) {
          at += chunk.byteLength;
          if (at > size) throw new TooLong();
          hash.update(chunk);
        }
      },
    );
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof TooLong) return false;
    if (error instanceof OcibundleError && error.code === "integrity") return false;
    throw error;
  }
  return at === size && `sha256:${hash.digest("hex")}` === digest;
}

/** Thrown where a blob is decoded to more than is said. */
class TooLong extends Error {}

/** Whether an original is encoded to the blob that is said. Throws `integrity` for an original that is another by now. */
async function encodesTo(
  { digest, size, encoding, stored }: StoredPart,
  { path, start }: { path: string; start: number },
  {
    cache,
    pool,
    signal,
  }: {
    cache: Pick<Cache, "tempPath" | "discardTemp">;
    pool: WorkerPool;
    signal: AbortSignal;
  },
): Promise<boolean> {
  if (encoding === "none") return digest === stored.digest;
  if (size <= smallFileBytes && (encoding === "gzip" || encoding === "zstd")) {
    const bytes = readSmallFile({ path, start, end: start + size });
    if (digestOf(bytes) !== digest) throw changedWhileRead(path);
    return digestOf(compressBytes(bytes, encoding, compressionLevels[encoding])) === stored.digest;
  }
  const output = await cache.tempPath("compress");
  try {
    const input = { path, start, end: start + size };
    const job = { input, codec: encoding, level: levelOf(encoding), output, isTemporary: true };
    const made = await pool.compress(job, { signal });
    if (made.input.digest !== digest) throw changedWhileRead(path);
    return made.output.digest === stored.digest;
  } finally {
    await cache.discardTemp(output);
  }
}
