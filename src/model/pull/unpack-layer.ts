import { createHash } from "node:crypto";
import { join } from "node:path";
import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import { SizeSchema } from "../../oci/descriptor.ts";
import { type Digest, digestAlgorithm, digestHex, shortDigest } from "../../oci/digest.ts";
import { type TarEntry, tarEntries, unmarkedIsWhole } from "../../store/archive/entries.ts";
import { type StreamTarSource, streamTarSource } from "../../store/archive/source.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { shownRoot } from "../../store/cache/directory.ts";
import { readRecord, writeRecord } from "../../store/cache/record-file.ts";
import { requireSpace } from "../../store/placement/disk-space.ts";
import type { ExpectedFile } from "../format/artifact/contents.ts";
import { quoted, Sha256Schema } from "../format/weight-entry.ts";
import { readDecoded, readSize, writeContent } from "./unpack-file.ts";

/** An entry of a layer, in its order; a file's content is in the cache, or begins at `offset` of the layer. */
export type UnpackedEntry =
  | { type: "file"; name: string; size: number; digest: Digest; offset?: number }
  | { type: "link" | "symlink"; name: string; target: string }
  | { type: "directory"; name: string };

/** How a layer is read, and what it is checked against. */
export interface UnpackOptions {
  cache: Cache;
  signal: AbortSignal;
  /** Which files are wanted, by their names in the archive. */
  wants(name: string): boolean;
  /** The files that the archive must have. */
  expected: ReadonlyMap<string, ExpectedFile> | undefined;
  /** Whether it is read as a layer of an image, in which there may be devices. */
  overlay: boolean;
  /** What an image says of the layer's bytes once they are decompressed. */
  diffId: string | undefined;
  /** For `cache ls`: where it came from. */
  origin: string;
  /** Names the layer in messages. */
  on: string;
}

/** Earlier records say "folder". */
const DirectoryTypeSchema = v.pipe(
  v.picklist(["directory", "folder"]),
  v.transform(() => "directory" as const),
);

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
      v.object({ type: DirectoryTypeSchema, name: v.string() }),
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
  const entries: UnpackedEntry[] = [];
  const files = new Set<string>();
  const release = cache.holdTemp();
  let isWhole = true;
  const takeEntries = async (bytes: AsyncIterable<Uint8Array>): Promise<void> => {
    const source = streamTarSource(checked(bytes, options));
    for await (const entry of tarEntries(source, on, {
      ofLayer: options.overlay,
      onUnmarked: unmarkedIsWhole,
    })) {
      options.signal.throwIfAborted();
      const unpacked = await unpackEntry(entry, source, options);
      if (unpacked === undefined) isWhole = false;
      else entries.push(unpacked);
      if (unpacked?.type === "file") files.add(unpacked.name);
    }
    // What stands behind the archive's end belongs to the stream too: its checksum is there.
    while ((await source.skip(readSize)) > 0) options.signal.throwIfAborted();
  };
  try {
    await readDecoded(path, on, takeEntries);
  } finally {
    await release();
  }
  for (const name of expected?.keys() ?? []) {
    if (!files.has(name)) {
      throw new OcibundleError("integrity", `${on}: ${quoted(name)} is missing`);
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

/** The same bytes, held against the diff ID where there is one. Throws `integrity` at their end. */
async function* checked(
  bytes: AsyncIterable<Uint8Array>,
  { diffId, on }: UnpackOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = diffId?.startsWith("sha256:") === true ? createHash("sha256") : undefined;
  for await (const chunk of bytes) {
    hash?.update(chunk);
    yield chunk;
  }
  const digest = `sha256:${hash?.digest("hex")}`;
  if (hash === undefined || digest === diffId) return;
  throw new OcibundleError("integrity", `${on}: the diff ID is ${digest}, expected ${diffId}`, {
    hint: "the config does not match the layers: push the image again",
  });
}

/** Undefined for a file that is not wanted. */
async function unpackEntry(
  { type, name, size, target }: TarEntry,
  source: StreamTarSource,
  options: UnpackOptions,
): Promise<UnpackedEntry | undefined> {
  if (type === "directory") return { type, name };
  if (type !== "file") return { type, name, target };
  if (!options.wants(name)) return undefined;
  const { cache, expected, on, origin, signal } = options;
  const wanted = expected?.get(name);
  if (wanted !== undefined && wanted.size !== size) {
    const why = `${quoted(name)} has ${size} bytes, expected ${wanted.size}`;
    throw new OcibundleError("integrity", `${on}: ${why}`);
  }
  const temp = await cache.tempPath("file");
  try {
    await requireSpace([{ path: shownRoot(cache.root), bytes: size }]);
    const { digest } = await writeContent(temp, source.chunks(size), { cache, signal });
    if (wanted !== undefined && wanted.digest !== digest) {
      const why = `${quoted(name)} has digest ${digest}, expected ${wanted.digest}`;
      throw new OcibundleError("integrity", `${on}: ${why}`);
    }
    await cache.putFile(temp, digest, size, { name, origin });
    return { type: "file", name, size, digest };
  } finally {
    await cache.discardTemp(temp).catch(() => undefined);
  }
}

/** For messages. */
export const layerLabel = (name: string, layer: Digest): string =>
  `${name}: layer ${shortDigest(layer)}`;
