import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { OcibundleError } from "../../errors.ts";
import { compressionOf } from "../../store/archive/archive.ts";
import { fileChunks } from "../../store/file-chunks.ts";
import { decompress } from "../conversion/decompress.ts";
import { lookAtHead, writeFile } from "../conversion/layer-content.ts";
import type { TempDirectory } from "../conversion/temp-directory.ts";
import { faultCode, faultReason } from "../../runtime/file-faults.ts";

/**
 * The path of an archive that can be read at any place: the file itself, or a copy in `temp` where it is
 * compressed with gzip or zstd or comes through a pipe (`/dev/stdin`, `<(docker save x)`). A file that
 * can't be opened is left to whoever reads it. Throws `integrity` for damaged data, `system` when there is
 * no room, `file` for what is neither a file nor a pipe.
 */
export async function plainArchive(
  path: string,
  on: string,
  temp: TempDirectory,
  signal: AbortSignal,
): Promise<string> {
  const kind = await kindOf(path, on);
  if (kind === undefined) return path;
  if (kind === "file") {
    if (decompressible(await firstBytes(path)) === undefined) return path;
    return copyOf(fileChunks(path, 0, Number.MAX_SAFE_INTEGER, signal), on, temp);
  }
  const pipe = await openPipe(path, on);
  try {
    return await copyOf(pipeChunks(pipe, signal), on, temp);
  } finally {
    // Closing waits for a read that is under way, and a pipe may be silent for good.
    const closed = pipe.close().catch(() => undefined);
    if (!signal.aborted) await closed;
  }
}

/** Writes an archive to a file in `temp`, decompressed, and gives its path. */
async function copyOf(
  chunks: AsyncIterable<Uint8Array>,
  on: string,
  temp: TempDirectory,
): Promise<string> {
  const opened = await lookAtHead(chunks);
  const compression = decompressible(opened.head);
  const copy = await temp.newFile();
  await writeFile(copy, async (write) => {
    const writeAll = async (content: AsyncIterable<Uint8Array>): Promise<void> => {
      for await (const chunk of content) await write(chunk);
    };
    if (compression === undefined) await writeAll(opened.chunks);
    else await decompress(compression, opened.chunks, on, writeAll);
  });
  return copy;
}

function decompressible(head: Uint8Array): "gzip" | "zstd" | undefined {
  const compression = compressionOf(head);
  return compression === "gzip" || compression === "zstd" ? compression : undefined;
}

async function firstBytes(path: string): Promise<Uint8Array> {
  try {
    const file = await open(path, "r");
    try {
      return (await file.read(new Uint8Array(8), 0, 8, 0)).buffer;
    } finally {
      await file.close();
    }
  } catch {
    return new Uint8Array(0);
  }
}

/** Undefined for what can't be looked at. Throws `file` for a device: it may have no end. */
async function kindOf(path: string, on: string): Promise<"file" | "pipe" | undefined> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined || stats.isDirectory()) return undefined;
  if (stats.isFile()) return "file";
  if (stats.isFIFO() || stats.isSocket()) return "pipe";
  throw new OcibundleError("file", `${on}: a device is not an archive`, {
    hint: "name a file, or send the archive through a pipe: `docker save IMAGE | ocibundle ... docker-archive:/dev/stdin`",
  });
}

async function openPipe(path: string, on: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY);
  } catch (cause) {
    const code = faultCode(cause, "reading");
    if (code === undefined) throw cause;
    throw new OcibundleError(code, `${on}: cannot read the pipe: ${faultReason(cause)}`, {
      hint: "write the archive to a file first",
      cause,
    });
  }
}

/** In bytes. */
const chunkSize = 256 * 1024;

async function* pipeChunks(
  file: FileHandle,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = new Uint8Array(chunkSize);
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  aborted.catch(() => undefined);
  const onAbort = (): void => {
    reject(signal.reason);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await Promise.race([file.read(buffer, 0, chunkSize, null), aborted]);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
