import { createHash } from "node:crypto";
import { mkdir, rename, rm } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { OcibundleError } from "../errors.ts";
import { digestOf } from "../oci/digest.ts";
import { compressBytes } from "../runtime/small-file.ts";
import { writeAll } from "../store/verified-write.ts";
import type { EmitEvent } from "../transfer/events.ts";
import { type CompressionChoice, compressionLevels } from "../model/format/compression.ts";
import { readPrevious } from "../model/lock/lock.ts";
import { readOptions } from "../model/lock/read-options.ts";
import { lockWeights } from "../model/lock/lock-weights.ts";
import { randomBytes } from "../model/weights/random-bytes.ts";
import type { JobContext } from "../model/session/session.ts";
import { createFile } from "../runtime/own-file.ts";
import {
  checkEntriesApart,
  checkNameAndDest,
  layerTypes,
  quoted,
  type WeightEntry,
} from "../model/format/weight-entry.ts";
import { rfc3339, type WeightsLock } from "../model/format/weights-lock.ts";
import { writeLockFile } from "../model/lock/write-lock-file.ts";
import { unwritable } from "../runtime/file-faults.ts";
import type { MockReport } from "../report/lock.ts";

/** What `mock-weights` is asked for; paths are relative to the working directory. */
export interface MockRequest {
  /** How many files. */
  count: number;
  /** In bytes; each file's size is drawn from between, both included. */
  minSize: number;
  maxSize: number;
  outputDir: string;
  /** Put before the name of each file to give its dest; slashes at the end do not count. */
  destPrefix: string;
  /** Where the lock is written. */
  output: string;
  /** The same seed gives the same sizes and bytes; one is drawn when undefined. */
  seed: number | undefined;
  compression: CompressionChoice;
}

const mockName = /^weights-\d{3,}$/;
const pieceBytes = 1024 * 1024;

/**
 * Writes random files weights-001.bin, weights-002.bin, … and their lock. A file is made, hashed and
 * written 1 MiB at a time. Throws `usage` for sizes that make no sense, `conflict` where the lock is of other
 * weights or something is in the way, `file` and `system` for what can't be written.
 */
export async function mockWeights(job: JobContext, request: MockRequest): Promise<MockReport> {
  const { count, minSize, maxSize, outputDir, output, compression } = request;
  if (minSize > maxSize) {
    throw new OcibundleError("usage", `--min-size ${minSize} is more than --max-size ${maxSize}`, {
      hint: "set both, for example --min-size 1MiB --max-size 2MiB",
    });
  }
  const directory = resolve(job.cwd, outputDir);
  const seed = request.seed ?? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  const sizes = randomBytes(seed, 0);
  const files = Array.from({ length: count }, (_, index) => {
    const name = `weights-${String(index + 1).padStart(3, "0")}`;
    const file = `${name}.bin`;
    const dest = `${request.destPrefix.replace(/\/+$/, "")}/${file}`;
    const size = sizes.between(minSize, maxSize);
    return { name, path: join(directory, file), dest, size, stream: index + 1 };
  });
  for (const { name, dest } of files) checkNameAndDest({ name, dest }, output);
  checkEntriesApart(files, output);

  await refuseOthersWork(job, request);
  await mkdir(directory, { recursive: true }).catch((error: unknown) => {
    throw unwritable(directory, error);
  });
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  job.emit({ type: "phase", phase: "write", items: count, bytes });
  const entries: WeightEntry[] = [];
  for (const file of files) entries.push(await writeMock(file, seed, job));

  const now = new Date();
  const lock: WeightsLock =
    compression === "none"
      ? { version: "1", created: rfc3339(now), files: entries }
      : await compressedLock(job, files, request, now);
  await writeLockFile(resolve(job.cwd, output), lock);
  return { lock: output, directory: outputDir, files: lock.files, size: bytes };
}

/** A lock of real weights may be all that says which they are: only one that was made here is replaced. */
async function refuseOthersWork(job: JobContext, { output }: MockRequest): Promise<void> {
  const previous = await readPrevious(job, output);
  const other = previous?.files.find(({ name }) => !mockName.test(name));
  if (other === undefined) return;
  throw new OcibundleError(
    "conflict",
    `"${output}" is a lock of other weights: ${quoted(other.name)}`,
    {
      hint: "use an empty directory, or choose another lock with -o and another directory with --output-dir",
    },
  );
}

interface MockFile {
  name: string;
  path: string;
  dest: string;
  size: number;
  /** Which of the seed's streams its bytes are. */
  stream: number;
}

async function compressedLock(
  job: JobContext,
  files: readonly MockFile[],
  { compression, output }: MockRequest,
  now: Date,
): Promise<WeightsLock> {
  const weights = files.map(({ name, path, dest }) => ({ name, path, dest, destIsDefault: false }));
  const options = { ...readOptions(job), compression, previous: undefined, on: output };
  return (await lockWeights(weights, { ...options, now: () => now })).lock;
}

async function writeMock(
  file: MockFile,
  seed: number,
  { signal, emit }: { signal: AbortSignal; emit: EmitEvent },
): Promise<WeightEntry> {
  const { name, path, dest, size } = file;
  const shown = basename(path);
  emit({ type: "start", phase: "write", item: name, group: "weights", bytes: size, file: shown });
  const temporary = `${path}-${crypto.randomUUID()}.tmp`;
  const hash = createHash("sha256");
  try {
    const to = await createFile(temporary);
    try {
      for (const { bytes, offset } of pieces(file, seed)) {
        signal.throwIfAborted();
        hash.update(bytes);
        await writeAll(to, bytes, offset);
        emit({ type: "progress", phase: "write", item: name, bytes: bytes.length });
      }
    } finally {
      await to.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw unwritable(path, error);
  }
  emit({ type: "done", phase: "write", item: name });
  const digest = `sha256:${hash.digest("hex")}` as const;
  return {
    name,
    dest,
    digestOriginal: digest,
    ...(size === 0 ? emptyBlob() : { digest, size }),
    sizeUncompressed: size,
    mediaType: size === 0 ? layerTypes.gzip : layerTypes.none,
    contentType: "application/octet-stream",
  };
}

/** The file's bytes in pieces that share one buffer. */
function* pieces(
  { size, stream }: MockFile,
  seed: number,
): Generator<{ bytes: Uint8Array; offset: number }> {
  const source = randomBytes(seed, stream);
  const words = new Uint32Array(pieceBytes / Uint32Array.BYTES_PER_ELEMENT);
  const piece = new Uint8Array(words.buffer);
  for (let offset = 0; offset < size; offset += pieceBytes) {
    source.into(words);
    yield { bytes: piece.subarray(0, Math.min(pieceBytes, size - offset)), offset };
  }
}

/** An empty file is stored as gzip whatever is asked for (docs/format.md). */
function emptyBlob(): Pick<WeightEntry, "digest" | "size"> {
  const bytes = compressBytes(new Uint8Array(), "gzip", compressionLevels.gzip);
  return { digest: digestOf(bytes), size: bytes.byteLength };
}
