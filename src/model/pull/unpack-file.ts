import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { OcibundleError } from "../../errors.ts";
import { decompress } from "../../image/conversion/decompress.ts";
import { createFile, readableMode } from "../../runtime/own-file.ts";
import { compressionOf } from "../../store/archive/archive.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { cacheFailure } from "../../store/cache/directory.ts";
import { writeAll } from "../../store/verified-write.ts";
import { openRegular, openRegularSync } from "../../runtime/regular-file.ts";

/** Where a file goes, and what it is called. */
export interface UnpackFileOptions {
  cache: Cache;
  signal: AbortSignal;
  name: string;
  /** For `cache ls`: where it came from. */
  origin: string;
  /** Names the file in messages. */
  on: string;
}

/**
 * Takes a file that may be stored compressed, its bytes verified at `path`, into the cache as it was. Throws
 * `integrity` for a compressed file that is damaged, `system` where the cache can't be written.
 */
export async function unpackFile(
  path: string,
  { cache, signal, name, origin, on }: UnpackFileOptions,
): Promise<WrittenFile> {
  const temp = await cache.tempPath("file");
  try {
    let file: WrittenFile | undefined;
    await readDecoded(path, on, async (chunks) => {
      file = await writeContent(temp, chunks, { cache, signal });
    });
    if (file === undefined) throw new OcibundleError("bug", `${on}: nothing was written`);
    await cache.putFile(temp, file.digest, file.size, { name, origin });
    return file;
  } finally {
    await cache.discardTemp(temp).catch(() => undefined);
  }
}

/** A file of the cache's temporary directory, flushed. */
export interface WrittenFile {
  digest: `sha256:${string}`;
  /** In bytes. */
  size: number;
}

/** Writes a new file with what comes, hashed on its way. Throws as `cacheFailure` says where it can't be written. */
export async function writeContent(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  { cache, signal }: Pick<UnpackFileOptions, "cache" | "signal">,
): Promise<WrittenFile> {
  const hash = createHash("sha256");
  let position = 0;
  const onDisk = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      throw cacheFailure(cache.root, error);
    });
  const file = await onDisk(createFile(path, readableMode));
  try {
    for await (const chunk of chunks) {
      signal.throwIfAborted();
      const written = onDisk(writeAll(file, chunk, position));
      hash.update(chunk);
      await written;
      position += chunk.byteLength;
    }
    await onDisk(file.sync());
  } finally {
    await file.close();
  }
  return { digest: `sha256:${hash.digest("hex")}`, size: position };
}

/** What is read of a layer at once, in bytes. */
export const readSize = 1024 * 1024;

/** Hands the bytes of a layer or file to `consume`, decompressed where the first of them say that it is compressed. */
export async function readDecoded(
  path: string,
  on: string,
  consume: (chunks: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<void> {
  const head = new Uint8Array(4);
  const file = await openRegular(path);
  try {
    await file.read(head, 0, head.byteLength, 0);
  } finally {
    await file.close();
  }
  const raw = createReadStream(path, { fd: openRegularSync(path), highWaterMark: readSize });
  const compression = compressionOf(head);
  try {
    if (compression === "gzip" || compression === "zstd") {
      await decompress(compression, raw, on, consume);
    } else await consume(raw);
  } finally {
    raw.destroy();
  }
}
