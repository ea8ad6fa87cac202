import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * How small files are read whole: configs, locks, records, journals, tokens, certificates. Their names can
 * stand for anything: a FIFO that nobody writes to would hang a run, a device would fill its memory. So a
 * file is opened without blocking and looked at before a byte is read.
 */
export interface DocumentOptions {
  /** More than this is an error, in bytes. */
  maxBytes: number;
  /**
   * Whether the user named the document: then it may also come through a pipe (`<(...)`, `/dev/stdin`) or a
   * device such as `/dev/null`, read for as long as `pipeTimeout`.
   */
  named?: boolean | undefined;
  /** How long the end of a pipe may take, in milliseconds. */
  pipeTimeout?: number | undefined;
  /** Not followed where it is a symbolic link. */
  noFollow?: boolean | undefined;
}

const defaultPipeTimeout = 30_000;
const chunkBytes = 64 * 1024;
const pause = 10;

/** Codes of {@link readDocument} that no system call gives. */
type OwnCode = "ENOTREG" | "EFBIG" | "EISDIR" | "ETIMEDOUT";

const failure = (code: OwnCode, path: string, message: string): Error =>
  Object.assign(new Error(`${message}: "${path}"`), { code });

const flagsOf = ({ noFollow }: DocumentOptions): number =>
  constants.O_RDONLY |
  // Windows has neither.
  (constants.O_NONBLOCK ?? 0) |
  (noFollow === true ? (constants.O_NOFOLLOW ?? 0) : 0);

/** Whether what was opened may be read to its end. Throws `EISDIR`, `ENOTREG`, `EFBIG`. */
function checkKind(path: string, stats: Stats, { maxBytes, named }: DocumentOptions): void {
  if (stats.isDirectory()) throw failure("EISDIR", path, "is a directory");
  if (!stats.isFile() && !(named === true && (stats.isFIFO() || stats.isCharacterDevice()))) {
    throw failure("ENOTREG", path, "not a regular file");
  }
  if (stats.isFile() && stats.size > maxBytes) throw failure("EFBIG", path, "file too large");
}

const wouldBlock = (error: unknown): boolean => (error as { code?: unknown }).code === "EAGAIN";

/** Gathers what is read, up to the limit. */
function gatherer(path: string, stats: Stats, options: DocumentOptions) {
  const { maxBytes, pipeTimeout = defaultPipeTimeout } = options;
  const deadline = performance.now() + pipeTimeout;
  const chunks: Buffer[] = [];
  let size = 0;
  return {
    // Most are far smaller, and what says that it is empty may be one that only the kernel makes.
    buffer: Buffer.allocUnsafe(stats.size > 0 ? Math.min(stats.size + 1, chunkBytes) : chunkBytes),
    add(bytes: Buffer): void {
      size += bytes.byteLength;
      if (size > maxBytes) throw failure("EFBIG", path, "file too large");
      chunks.push(Buffer.from(bytes));
    },
    /** Whether nothing now means nothing more: a FIFO ends as long as nobody has begun to write. */
    ends: (): boolean => !stats.isFIFO() || size > 0,
    checkTime(): void {
      if (performance.now() >= deadline) throw failure("ETIMEDOUT", path, "no data in time");
    },
    all: (): Buffer => Buffer.concat(chunks),
  };
}

/**
 * The bytes of a small file. Throws errno errors, and errors with the codes `EISDIR`, `ENOTREG` (a FIFO,
 * socket or device), `EFBIG` (more than `maxBytes`) and `ETIMEDOUT` (a pipe that did not end);
 * {@link unreadableBecause} has words for them.
 */
export async function readDocument(path: string, options: DocumentOptions): Promise<Buffer> {
  const file = await open(path, flagsOf(options));
  try {
    const stats = await file.stat();
    checkKind(path, stats, options);
    const gathered = gatherer(path, stats, options);
    for (;;) {
      let read = 0;
      try {
        read = (await file.read(gathered.buffer, 0, gathered.buffer.length, null)).bytesRead;
        if (read === 0 && gathered.ends()) return gathered.all();
      } catch (error) {
        if (!wouldBlock(error)) throw error;
      }
      if (read > 0) gathered.add(gathered.buffer.subarray(0, read));
      else {
        gathered.checkTime();
        await sleep(pause);
      }
    }
  } finally {
    await file.close();
  }
}

/** {@link readDocument} for what must be known before anything else: nothing else happens meanwhile. */
export function readDocumentSync(path: string, options: DocumentOptions): Buffer {
  const file = openSync(path, flagsOf(options));
  try {
    const stats = fstatSync(file);
    checkKind(path, stats, options);
    const gathered = gatherer(path, stats, options);
    for (;;) {
      let read = 0;
      try {
        read = readSync(file, gathered.buffer, 0, gathered.buffer.length, null);
        if (read === 0 && gathered.ends()) return gathered.all();
      } catch (error) {
        if (!wouldBlock(error)) throw error;
      }
      if (read > 0) gathered.add(gathered.buffer.subarray(0, read));
      else {
        gathered.checkTime();
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pause);
      }
    }
  } finally {
    closeSync(file);
  }
}
