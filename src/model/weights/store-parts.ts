import { parallel } from "../../flow/parallel.ts";
import { createWorkerPool, type WorkerPool } from "../../runtime/worker-pool.ts";
import type { PartCodec } from "../../runtime/worker-protocol.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { type FormRecords, openFormRecords } from "../../store/records/form-records.ts";
import { minSaving } from "../format/compression.ts";
import type { StoredPart } from "../parts/parts-artifact.ts";
import { compressWeight } from "./compress-weight.ts";
import { changedWhileRead, readFailure, type ReadOptions, type Sha256 } from "./file-state.ts";

/** How parts are stored: `auto` looks at samples of each. */
export type PartsCompression = "none" | "zstd" | "auto";

/** A part that is a piece of a file, without a gap. */
export interface PieceOfFile {
  part: Pick<StoredPart, "digest" | "size">;
  /** The name of the weight, for the cache. */
  name: string;
  path: string;
  /** Where in the file it begins, in bytes. */
  start: number;
}

/** How parts are stored, and what is known of them. */
export interface StorePartsOptions extends Pick<ReadOptions, "signal" | "emit" | "workers"> {
  /** Gets the compressed parts. */
  cache: Cache;
  /** `auto` also tries to compress by planes of bytes. */
  choice: "zstd" | "auto";
  /** Forms of parts that were made before, by the digests of the originals. */
  known: ReadonlyMap<string, StoredPart>;
  /** What the work is called in progress. */
  item: string;
}

/** Parts whose samples are looked at as one job. */
const chosenAtOnce = 16;

/**
 * How parts of files are stored in the fewest bytes, by the digests of the originals; those that are best stored as
 * they are are not among them. What is made is left in the cache, and what was made before is not made again.
 * Throws `file` for what can't be read, `integrity` for what changed since it was hashed.
 */
export async function storeParts(
  pieces: readonly PieceOfFile[],
  options: StorePartsOptions,
): Promise<Map<string, StoredPart>> {
  const { choice, known, cache, signal, emit, workers, item } = options;
  const stored = new Map<string, StoredPart>();
  const fits = (encoding: string): boolean => choice === "auto" || encoding === choice;
  const records = await openFormRecords(cache);
  const left = new Map<string, PieceOfFile>();
  for (const piece of pieces) {
    const { digest, size } = piece.part;
    const before = known.get(digest) ?? (await recalled(records, piece, cache, signal));
    if (before !== undefined && before.size === size && fits(before.encoding)) {
      stored.set(digest, before);
    } else left.set(digest, piece);
  }
  if (left.size === 0) return stored;
  const pool = createWorkerPool(workers);
  try {
    const chosen = await chooseAll([...left.values()], choice, pool, signal);
    const bytes = chosen.reduce((sum, { piece }) => sum + piece.part.size, 0);
    if (chosen.length === 0) return stored;
    emit({ type: "start", phase: "compress", item, group: "weights", bytes });
    const onBytes = (more: number): void =>
      emit({ type: "progress", phase: "compress", item, bytes: more });
    await parallel(chosen, pool.size, signal, async ({ piece, codec }, stop) => {
      const part = await encodePiece(piece, codec, { cache, pool, signal: stop, onBytes });
      if (part === undefined) return;
      stored.set(part.digest, part);
      if (part.encoding === "none" || part.encoding === "gzip") return;
      const { digest: original, encoding } = part;
      records.add({ original, encoding, ...part.stored });
    });
    emit({ type: "done", phase: "compress", item });
  } finally {
    pool.close();
    await records.save();
  }
  return stored;
}

/** What is recorded of a part, while its blob is in the cache. */
async function recalled(
  records: FormRecords,
  { part: { digest, size } }: PieceOfFile,
  cache: Cache,
  signal: AbortSignal,
): Promise<StoredPart | undefined> {
  const form = records.find(digest);
  if (form === undefined || form.encoding === "none" || form.encoding === "gzip") {
    return undefined;
  }
  if (!(await cache.has(form, signal))) return undefined;
  const { encoding, digest: blob, size: bytes } = form;
  return { digest, size, encoding, stored: { digest: blob, size: bytes } };
}

interface Chosen {
  piece: PieceOfFile;
  codec: PartCodec;
}

async function chooseAll(
  pieces: readonly PieceOfFile[],
  choice: "zstd" | "auto",
  pool: WorkerPool,
  signal: AbortSignal,
): Promise<Chosen[]> {
  if (choice === "zstd") return pieces.map((piece) => ({ piece, codec: "zstd" }));
  const batches = Array.from({ length: Math.ceil(pieces.length / chosenAtOnce) }, (_, at) =>
    pieces.slice(at * chosenAtOnce, (at + 1) * chosenAtOnce),
  );
  const found = await parallel(batches, pool.size, signal, async (batch, stop) => {
    const codecs = await readable(batch[0]?.path ?? "", () =>
      pool.choose(batch.map(rangeOf), minSaving, { signal: stop }),
    );
    return batch.flatMap((piece, at): Chosen[] => {
      const codec = codecs[at] ?? "none";
      return codec === "none" ? [] : [{ piece, codec }];
    });
  });
  return found.flat();
}

const rangeOf = ({ path, start, part }: PieceOfFile) => ({ path, start, end: start + part.size });

/** Encodes a part into the cache; undefined where that saves too little. Throws as `storeParts`. */
async function encodePiece(
  piece: PieceOfFile,
  codec: PartCodec,
  options: Omit<Parameters<typeof compressWeight>[2], "minSaving">,
): Promise<StoredPart | undefined> {
  const { part } = piece;
  const made = await makePart(piece, codec, { ...options, minSaving });
  return made.size > part.size * (1 - minSaving)
    ? undefined
    : { ...part, encoding: codec, stored: made };
}

/** Encodes a part of a file into the cache, and answers its blob. Throws `file`, and `integrity` for another part. */
export async function makePart(
  { name, path, start, part: { digest, size } }: PieceOfFile,
  codec: PartCodec,
  options: Parameters<typeof compressWeight>[2],
): Promise<{ digest: Sha256; size: number }> {
  const what = { name, path, start, size };
  const { input, output } = await readable(path, () => compressWeight(what, codec, options));
  if (input.digest === digest) return output;
  throw changedWhileRead(path);
}

async function readable<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw readFailure({ path }, error);
  }
}
