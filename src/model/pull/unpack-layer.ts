import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import * as zlib from "node:zlib";
import * as v from "valibot";
import { OcibundleError, errno } from "../../errors.ts";
import { SizeSchema } from "../../oci/descriptor.ts";
import { type Digest, digestAlgorithm, digestHex, shortDigest } from "../../oci/digest.ts";
import { createFile, readableMode } from "../../runtime/own-file.ts";
import { type TarEntry, tarEntries } from "../../store/archive/entries.ts";
import { type StreamTarSource, streamTarSource } from "../../store/archive/source.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { readRecord, writeRecord } from "../../store/cache/record-file.ts";
import { writeAll } from "../../store/verified-write.ts";
import type { ExpectedFile } from "../format/artifact/contents.ts";
import { quoted, Sha256Schema } from "../format/weight-entry.ts";

/** An entry of a layer, in its order; a file's content is in the cache. */
export type UnpackedEntry =
  | { type: "file"; name: string; size: number; digest: Digest }
  | { type: "link" | "symlink"; name: string; target: string }
  | { type: "folder"; name: string };

export interface UnpackOptions {
  cache: Cache;
  signal: AbortSignal;
  /** Which files are wanted, by their names in the archive. */
  wants(name: string): boolean;
  /** The files that the archive must have. */
  expected: ReadonlyMap<string, ExpectedFile> | undefined;
  /** For `cache ls`: where it came from. */
  origin: string;
  /** Names the layer in messages. */
  on: string;
}

const RecordSchema = v.object({
  version: v.literal(1),
  entries: v.array(
    v.union([
      v.object({
        type: v.literal("file"),
        name: v.string(),
        size: SizeSchema,
        digest: Sha256Schema,
      }),
      v.object({ type: v.picklist(["link", "symlink"]), name: v.string(), target: v.string() }),
      v.object({ type: v.literal("folder"), name: v.string() }),
    ]),
  ),
});

const maxRecordBytes = 16 * 1024 * 1024;

const recordPath = ({ recordsDir }: Cache, layer: Digest): string =>
  join(recordsDir, "unpacked", `${digestAlgorithm(layer)}-${digestHex(layer)}`);

/** What an earlier run unpacked of a layer, if the cache still has all of it. */
export async function unpackedBefore(
  layer: Digest,
  { cache, signal, wants }: UnpackOptions,
): Promise<UnpackedEntry[] | undefined> {
  const record = await readRecord(recordPath(cache, layer), RecordSchema, maxRecordBytes);
  if (record === undefined) return undefined;
  for (const entry of record.entries) {
    if (entry.type !== "file" || !wants(entry.name)) continue;
    if ((await cache.find(entry, signal)) === undefined) return undefined;
    await cache.noteUse(entry.digest);
  }
  return record.entries;
}

/**
 * Unpacks a layer whose bytes lie, verified, at `path`: its files go into the cache by their digests.
 * Throws `integrity` for an archive that is damaged or has other files than expected, `file` for one that
 * can't be read here, `system` where the cache can't be written.
 */
export async function unpackLayer(
  layer: Digest,
  path: string,
  options: UnpackOptions,
): Promise<UnpackedEntry[]> {
  const { cache, expected, on } = options;
  const bytes = await decoded(path, on);
  const source = streamTarSource(bytes);
  const entries: UnpackedEntry[] = [];
  const release = cache.holdTemp();
  let isWhole = true;
  try {
    for await (const entry of tarEntries(source, on)) {
      options.signal.throwIfAborted();
      const unpacked = await unpackEntry(entry, source, options);
      if (unpacked === undefined) isWhole = false;
      else entries.push(unpacked);
    }
    // What stands behind the archive's end belongs to the stream too: its checksum is there.
    while ((await source.skip(1024 * 1024)) > 0) options.signal.throwIfAborted();
  } catch (error) {
    throw damaged(error, on);
  } finally {
    await source.close().catch(() => undefined);
    await release();
  }
  for (const name of expected?.keys() ?? []) {
    if (!entries.some((entry) => entry.type === "file" && entry.name === name)) {
      throw new OcibundleError("integrity", `${on}: ${quoted(name)} is not in it`);
    }
  }
  if (isWhole) {
    const record = JSON.stringify({ version: 1, entries });
    const temp = { tempPath: cache.tempPath, discardTemp: cache.discardTemp };
    // Without it the layer is unpacked again the next time.
    await writeRecord(temp, recordPath(cache, layer), record).catch(() => undefined);
  }
  return entries;
}

/** Takes a file that may be stored compressed, its bytes verified at `path`, into the cache as it was. */
export async function unpackFile(
  path: string,
  { cache, signal, origin, on, name }: Omit<UnpackOptions, "wants" | "expected"> & { name: string },
): Promise<{ digest: `sha256:${string}`; size: number }> {
  const temp = await cache.tempPath("file");
  try {
    const file = await writeContent(temp, await decoded(path, on), signal);
    await cache.putFile(temp, file.digest, file.size, { name, origin });
    return file;
  } catch (error) {
    throw damaged(error, on);
  } finally {
    await cache.discardTemp(temp).catch(() => undefined);
  }
}

/** Undefined for a file that is not wanted. */
async function unpackEntry(
  { type, name, size, target }: TarEntry,
  source: StreamTarSource,
  options: UnpackOptions,
): Promise<UnpackedEntry | undefined> {
  if (type === "folder") return { type, name };
  if (type !== "file") return { type, name, target };
  if (!options.wants(name)) return undefined;
  const { cache, expected, on, origin, signal } = options;
  const wanted = expected?.get(name);
  if (wanted !== undefined && wanted.size !== size) {
    const why = `${quoted(name)} has ${size} bytes there, not ${wanted.size}`;
    throw new OcibundleError("integrity", `${on}: ${why}`);
  }
  const temp = await cache.tempPath("file");
  try {
    const { digest } = await writeContent(temp, source.chunks(size), signal);
    if (wanted !== undefined && wanted.digest !== digest) {
      const why = `${quoted(name)} has the digest ${digest}, not ${wanted.digest}`;
      throw new OcibundleError("integrity", `${on}: ${why}`);
    }
    await cache.putFile(temp, digest, size, { name, origin });
    return { type: "file", name, size, digest };
  } finally {
    await cache.discardTemp(temp).catch(() => undefined);
  }
}

async function writeContent(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<{ digest: `sha256:${string}`; size: number }> {
  const hash = createHash("sha256");
  const file = await createFile(path, readableMode);
  let position = 0;
  try {
    for await (const chunk of chunks) {
      signal.throwIfAborted();
      const written = writeAll(file, chunk, position);
      hash.update(chunk);
      await written;
      position += chunk.byteLength;
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { digest: `sha256:${hash.digest("hex")}`, size: position };
}

const readSize = 1024 * 1024;

/** The bytes of a layer, decompressed where its first bytes say that it is compressed. */
async function decoded(path: string, on: string): Promise<AsyncIterable<Uint8Array>> {
  const head = new Uint8Array(4);
  const file = await open(path);
  try {
    await file.read(head, 0, head.byteLength, 0);
  } finally {
    await file.close();
  }
  const raw = createReadStream(path, { highWaterMark: readSize });
  const decoder = decoderOf(head);
  if (decoder === undefined) return raw;
  const output = new PassThrough({ highWaterMark: readSize });
  // `output` gets the error of any of them.
  pipeline(raw, decoder, output).catch((error: unknown) => {
    output.destroy(error instanceof Error ? error : new Error(`${on}: ${String(error)}`));
  });
  return output;
}

function decoderOf(head: Uint8Array): (Readable & NodeJS.WritableStream) | undefined {
  if (head[0] === 0x1f && head[1] === 0x8b) return zlib.createGunzip({ chunkSize: readSize });
  const isZstd = [0x28, 0xb5, 0x2f, 0xfd].every((byte, index) => head[index] === byte);
  return isZstd ? zlib.createZstdDecompress({ chunkSize: readSize }) : undefined;
}

/** Of compressed data that is damaged, node says a code of zlib's own. */
function damaged(error: unknown, on: string): unknown {
  const code = errno(error) ?? "";
  if (!/^(?:Z_|ZSTD_|ERR_ZLIB)/.test(code)) return error;
  return new OcibundleError("integrity", `${on}: its compressed data is damaged`, { cause: error });
}

/** For messages. */
export const layerLabel = (name: string, layer: Digest): string =>
  `${name}: layer ${shortDigest(layer)}`;
