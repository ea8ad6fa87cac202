import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { errno, OcibundleError } from "../errors.ts";
import type { BlobToMove, ByteRange } from "../oci/content.ts";
import { digestHex, hasherFor, shortDigest } from "../oci/digest.ts";
import { createFile } from "../runtime/own-file.ts";
import { isSpecial } from "../runtime/special-file.ts";
import { blobChunks } from "./blob-chunks.ts";
import { fileChunks } from "./file-chunks.ts";
import { unwritable } from "../runtime/file-faults.ts";

/** Cancellation and progress of a copy. */
export interface CopyOptions {
  signal: AbortSignal;
  /** Called with the number of further bytes written. */
  onBytes?: ((bytes: number) => void) | undefined;
}

/** The beginning of a blob that is in its file already, and the hash of that. */
export interface Begun {
  /** In bytes. */
  size: number;
  hash: ReturnType<typeof hasherFor>;
}

/**
 * Copies a blob into an open file from `position` on, or what follows its beginning there, and checks its
 * size and digest on the way.
 *
 * Throws `integrity` when the bytes are others; what was written then is for the caller to undo.
 */
export async function copyVerified(
  blob: BlobToMove,
  file: FileHandle,
  position: number,
  options: CopyOptions,
  begun: Begun = { size: 0, hash: hasherFor(blob.descriptor.digest) },
): Promise<void> {
  const { descriptor } = blob;
  const { hash } = begun;
  let { size } = begun;
  const rest = { start: size, end: descriptor.size };
  for await (const chunk of restOf(blob, rest, options.signal)) {
    size += chunk.byteLength;
    if (size > descriptor.size) break;
    // The bytes are written while they are hashed; the chunk must stay as it is until both are done.
    const written = writeAll(file, chunk, position + size - chunk.byteLength);
    hash.update(chunk);
    await written;
    options.onBytes?.(chunk.byteLength);
  }
  if (size !== descriptor.size) {
    const found = size > descriptor.size ? "more than" : `only ${size} of`;
    throw new OcibundleError("integrity", `the blob has ${found} ${descriptor.size} bytes`);
  }
  if (hash.digest("hex") !== digestHex(descriptor.digest)) {
    throw new OcibundleError(
      "integrity",
      `the content does not match digest ${shortDigest(descriptor.digest)}`,
    );
  }
}

async function* restOf(
  blob: BlobToMove,
  rest: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (rest.start > 0 && rest.start === rest.end) return;
  yield* blobChunks(await blob.source(signal), rest, signal);
}

/** Where a blob lies, in part, in a file that is open for reading and writing. */
export interface BlobPlace {
  file: FileHandle;
  /** In bytes: where it begins. */
  position: number;
  /** How many of its bytes are said to be there. */
  there: number;
}

/**
 * Writes what is missing of a blob, and compares what is there; where that makes it wrong, all of it is
 * written anew. Throws as `copyVerified`.
 */
export async function completeVerified(
  blob: BlobToMove,
  { file, position, there }: BlobPlace,
  options: CopyOptions,
): Promise<void> {
  const { digest, size } = blob.descriptor;
  if (there > 0 && there <= size) {
    const hash = hasherFor(digest);
    let told = 0;
    const onBytes = (bytes: number): void => {
      told += bytes;
      options.onBytes?.(bytes);
    };
    for await (const chunk of fileChunks(file, position, position + there, options.signal)) {
      hash.update(chunk);
      onBytes(chunk.byteLength);
    }
    try {
      return await copyVerified(
        blob,
        file,
        position,
        { ...options, onBytes },
        { size: there, hash },
      );
    } catch (error) {
      if (!isIntegrity(error)) throw error;
      options.onBytes?.(-told);
    }
  }
  await copyVerified(blob, file, position, options);
}

/** Whether bytes were wrong, and not the disk or the network in the way. */
export const isIntegrity = (error: unknown): boolean =>
  error instanceof OcibundleError && error.code === "integrity";

/** Writes all of `bytes`: one call may write fewer. */
export async function writeAll(
  file: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const { bytesWritten } = await file.write(
      bytes,
      done,
      bytes.byteLength - done,
      position + done,
    );
    done += bytesWritten;
  }
}

/** Throws `conflict` where a path is that of a device, a FIFO or a socket: renaming over it would replace it. */
export async function refuseSpecial(path: string): Promise<void> {
  if (!(await isSpecial(path))) return;
  throw new OcibundleError("conflict", `"${path}" is not a regular file`, {
    hint: "use the path of a file",
  });
}

/**
 * Writes a file so that it appears under its name whole or not at all: into `temporary`, which must
 * be on the same file system and not exist, then flushed, then renamed. A failure leaves neither.
 */
export async function writeWhole(
  path: string,
  temporary: string,
  write: (file: FileHandle) => Promise<void>,
  mode?: number,
): Promise<void> {
  await refuseSpecial(path);
  try {
    const file = await createFile(temporary, mode);
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    // What failed first is the news: where nothing can be written, nothing can be removed either.
    await rm(temporary, { force: true }).catch(() => undefined);
    throw unwritable(path, error);
  }
}

/** Flushes a directory's entries, where the file system can do that: a rename then survives a power failure. */
export async function syncDirectory(path: string): Promise<void> {
  try {
    const directory = await open(path, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch (error) {
    // Windows opens no directories, and some network file systems flush none.
    if (!["EISDIR", "EPERM", "EINVAL", "EACCES", "ENOTSUP"].includes(errno(error) ?? "")) {
      throw error;
    }
  }
}
