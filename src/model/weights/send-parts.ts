import { causeOf } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import type { BlobSource, BlobToMove } from "../../oci/content.ts";
import { createWorkerPool, type WorkerPool } from "../../runtime/worker-pool.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { type FormRecords, openFormRecords } from "../../store/records/form-records.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import { minSaving } from "../format/compression.ts";
import type { OriginalFile } from "../layout/original-file.ts";
import { piecesOf } from "../parts/lock-parts.ts";
import { asItIs, partLayer, type StoredPart } from "../parts/parts-artifact.ts";
import { encode, encodedSource, nameOf, OtherForm, type PartOfFile, spool } from "./encode-part.ts";
import type { PartsCompression } from "./store-parts.ts";

/** Where parts are sent as soon as they are encoded, so that none of them waits on this machine. */
export interface PartTarget {
  /** Whether the blob is there. */
  has(blob: BlobToMove, signal: AbortSignal): Promise<boolean>;
  /** Absent where nothing is to be sent. */
  send?(blob: BlobToMove, signal: AbortSignal): Promise<void>;
}

/** How parts are encoded, and where they go. */
export interface SendPartsOptions {
  choice: PartsCompression;
  target: PartTarget;
  cache: Cache;
  signal: AbortSignal;
  emit: EmitEvent;
  /** Parts that are encoded at once at most. */
  workers: number;
}

/** Each part takes twice its size of the disk while it is encoded. */
const mostAtOnce = 4;

interface Run extends SendPartsOptions {
  records: FormRecords;
  pool: WorkerPool;
}

/**
 * Files whose parts are stored as is chosen, in the fewest bytes. Each new part is read once, to a temporary file,
 * encoded and sent: no more than a few parts are on this machine at once. Parts that lie in several pieces of their
 * file stay as they are, and so does what is stored in a form that is as good. Throws `integrity` for a part that is
 * not what its digest says, `system` where there is no space for a part, and what source and target throw.
 */
export async function sendParts(
  files: readonly OriginalFile[],
  options: SendPartsOptions,
): Promise<OriginalFile[]> {
  const { choice, cache, signal, emit } = options;
  if (choice === "none") return files.map(uncompressed);
  const isGood = (encoding: string): boolean =>
    encoding === choice || (choice === "auto" && encoding !== "none");
  const forms = new Map<string, StoredPart>();
  const workers = Math.min(options.workers, mostAtOnce);
  const pool = createWorkerPool(workers);
  const run: Run = { ...options, pool, records: await openFormRecords(cache) };
  try {
    for (const file of files) {
      const pieces = file.parts === undefined ? [] : piecesOf(file.parts);
      const left = pieces.filter(
        ({ part }) => !isGood(part.encoding) && part.encoding !== "gzip" && !forms.has(part.digest),
      );
      if (left.length === 0) continue;
      const item = file.name;
      const bytes = left.reduce((sum, { part }) => sum + part.size, 0);
      emit({ type: "start", phase: "compress", item, group: "weights", bytes });
      await parallel(left, workers, signal, async ({ part, start }, stop) => {
        forms.set(part.digest, await sendPiece({ file, part, start }, { ...run, signal: stop }));
      });
      emit({ type: "done", phase: "compress", item });
    }
  } finally {
    pool.close();
    await run.records.save();
  }
  return files.map((file) => withForms(file, forms, options));
}

/** A file none of whose bytes are stored in another form. */
const uncompressed = (file: OriginalFile): OriginalFile => ({
  ...file,
  stored: undefined,
  parts: file.parts && {
    ...file.parts,
    parts: file.parts.parts.map(({ digest, size }) => asItIs([digest, size])),
  },
});

/** A file with the forms that its parts have now. */
function withForms(
  file: OriginalFile,
  forms: ReadonlyMap<string, StoredPart>,
  options: SendPartsOptions,
): OriginalFile {
  const { parts } = file;
  if (parts === undefined) return file;
  return {
    ...file,
    parts: { ...parts, parts: parts.parts.map((part) => forms.get(part.digest) ?? part) },
    storedPart: (part, start) =>
      forms.has(part.digest) && start !== undefined
        ? { source: () => Promise.resolve(encodedSource({ file, part, start }, part, options)) }
        : file.storedPart?.(part, start),
  };
}

/** Finds out how a part is best stored, and sends it so unless it is there. */
async function sendPiece(piece: PartOfFile, run: Run): Promise<StoredPart> {
  const { cache, target, signal } = run;
  const recalled = recall(piece, run);
  if (recalled !== undefined && (await sendRecalled(piece, recalled, run))) return recalled;
  const [original, encoded] = [await cache.tempPath("part"), await cache.tempPath("compress")];
  try {
    await spool(piece, original, run);
    const stored = await encodeBest(piece, { original, encoded }, run);
    const path = stored.encoding === "none" ? original : encoded;
    const blob = blobOf(piece, stored, () => Promise.resolve({ kind: "file", path, offset: 0 }));
    if (target.send !== undefined && !(await target.has(blob, signal))) {
      await target.send(blob, signal);
    }
    return stored;
  } finally {
    await cache.discardTemp(original);
    await cache.discardTemp(encoded);
  }
}

/** What was found out about a part in an earlier run. */
function recall({ part: { digest, size } }: PartOfFile, { records, choice }: Run) {
  const form = records.find(digest);
  if (form === undefined || form.encoding === "gzip") return undefined;
  // That nothing was saved says so of all forms.
  if (form.encoding === "none") return choice === "auto" ? asItIs([digest, size]) : undefined;
  if (choice === "zstd" && form.encoding !== "zstd") return undefined;
  return {
    digest,
    size,
    encoding: form.encoding,
    stored: { digest: form.digest, size: form.size },
  } satisfies StoredPart;
}

/** Whether the target has the part in a form that is known, or got it: mounted, or encoded again. */
async function sendRecalled(piece: PartOfFile, form: StoredPart, run: Run): Promise<boolean> {
  const { target, signal } = run;
  // As it is it is read and sent with the rest.
  if (form.encoding === "none" || target.send === undefined) return true;
  const source = () => Promise.resolve(encodedSource(piece, form, run));
  const blob = blobOf(piece, form, source);
  if (await target.has(blob, signal)) return true;
  try {
    await target.send(blob, signal);
    return true;
  } catch (error) {
    if (causeOf(error, OtherForm) !== undefined) return false;
    throw error;
  }
}

/** Encodes a part as is chosen, where that saves enough, and notes what came of it. */
async function encodeBest(
  { part: { digest, size } }: PartOfFile,
  { original, encoded }: { original: string; encoded: string },
  { choice, pool, records, signal }: Run,
): Promise<StoredPart> {
  const range = { path: original, start: 0, end: size };
  const [best = "none"] =
    choice === "zstd" ? (["zstd"] as const) : await pool.choose([range], minSaving, { signal });
  if (best !== "none" && best !== "gzip") {
    const stored = await encode(original, encoded, best, { size, pool, signal });
    if (stored.size <= size * (1 - minSaving)) {
      records.add({ original: digest, encoding: best, ...stored });
      return { digest, size, encoding: best, stored };
    }
  }
  if (choice === "auto") records.add({ original: digest, encoding: "none", digest, size });
  return asItIs([digest, size]);
}

const blobOf = (
  piece: PartOfFile,
  part: StoredPart,
  source: () => Promise<BlobSource>,
): BlobToMove => ({
  descriptor: partLayer(part, { whole: false }),
  kind: "weight",
  label: nameOf(piece),
  group: "weights",
  source,
});
