import { createHash } from "node:crypto";
import { join } from "node:path";
import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import type { BlobSource, BlobToMove, ByteRange } from "../../oci/content.ts";
import { goTarHeader, parentDirectories } from "../../store/archive/go-tar.ts";
import { endSize, paddingAfter } from "../../store/archive/header.ts";
import { blobChunks } from "../../store/blob-chunks.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { readRecord, writeRecord } from "../../store/cache/record-file.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import { quoted, Sha256Schema } from "../format/weight-entry.ts";
import { mayBeSplit } from "../parts/tree-numbers.ts";
import type { PlacedFile } from "./original-file.ts";

/** A plain tar archive of files, put together as it is read: it never lies anywhere as a whole. */
export interface TarBlob {
  files: readonly PlacedFile[];
  digest: `sha256:${string}`;
  /** In bytes. */
  size: number;
  blob(mediaType: string): BlobToMove;
}

type Segment = { size: number } & ({ bytes: Uint8Array } | { file: PlacedFile });

/** The archive's parts: headers with their padding, and the files between them. */
function segmentsOf(files: readonly PlacedFile[]): Segment[] {
  const segments: Segment[] = [];
  let pending: Uint8Array[] = [];
  const flush = (): void => {
    if (pending.length === 0) return;
    const bytes = Buffer.concat(pending);
    segments.push({ size: bytes.byteLength, bytes });
    pending = [];
  };
  const paths = files.map(({ path }) => path);
  for (const name of parentDirectories(paths)) pending.push(goTarHeader({ name, size: 0 }));
  for (const file of files) {
    pending.push(goTarHeader({ name: file.path, size: file.size }));
    if (file.size > 0) {
      flush();
      segments.push({ size: file.size, file });
    }
    pending.push(new Uint8Array(paddingAfter(file.size)));
  }
  pending.push(new Uint8Array(endSize));
  flush();
  return segments;
}

const sizeOf = (segments: readonly Segment[]): number =>
  segments.reduce((sum, { size }) => sum + size, 0);

/** The bytes of `range` of an archive. A chunk is valid until the next one is asked for. */
async function* chunksOf(
  segments: readonly Segment[],
  { start, end }: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  let at = 0;
  for (const segment of segments) {
    const from = Math.max(start - at, 0);
    const to = Math.min(end - at, segment.size);
    at += segment.size;
    if (from >= to) continue;
    if ("bytes" in segment) yield segment.bytes.subarray(from, to);
    else {
      const source = await segment.file.source(signal);
      yield* blobChunks(source, { start: from, end: to }, signal);
    }
  }
}

function sourceOf(segments: readonly Segment[]): BlobSource {
  return {
    kind: "stream",
    open(range, signal) {
      const chunks = chunksOf(segments, range, signal);
      return Promise.resolve(
        new ReadableStream<Uint8Array>({
          async pull(controller) {
            const next = await chunks.next();
            if (next.done === true) controller.close();
            // A copy, which a Buffer's slice is not: the memory is used again for the next one.
            else controller.enqueue(new Uint8Array(next.value));
          },
          async cancel() {
            await chunks.return();
          },
        }),
      );
    },
  };
}

/** What computing the digest of an archive needs. */
export interface TarOptions {
  /** Remembers digests that were computed before. */
  cache: Cache;
  signal: AbortSignal;
  emit: EmitEvent;
}

/**
 * A tar archive of files in Go's exact layout. Its digest is computed by reading the files once; what was
 * computed for the same files before is remembered.
 */
export async function tarBlob(
  files: readonly PlacedFile[],
  { cache, signal, emit }: TarOptions,
): Promise<TarBlob> {
  const segments = segmentsOf(files);
  const size = sizeOf(segments);
  const digest = await digestOf(segments, { cache, signal, emit });
  const label =
    files.length === 1 ? `weight ${quoted(files[0]?.name ?? "")}` : `${files.length} small files`;
  return {
    files,
    digest,
    size,
    blob: (mediaType) => ({
      descriptor: { mediaType, digest, size },
      label,
      name: files.length === 1 ? (files[0]?.name ?? label) : label,
      group: "weights",
      canSplit: files.some((file) => mayBeSplit(file.size)),
      async check(abort) {
        for (const file of files) await file.check?.(abort);
      },
      source: () => Promise.resolve(sourceOf(segments)),
      reportCorrupt: () => files.some((file) => file.reportCorrupt?.() === true),
    }),
  };
}

const RecordSchema = v.object({ version: v.literal(1), digest: Sha256Schema });

async function digestOf(
  segments: readonly Segment[],
  { cache, signal, emit }: TarOptions,
): Promise<`sha256:${string}`> {
  // An archive is known by its headers and the digests of its files.
  const key = createHash("sha256");
  for (const segment of segments)
    key.update("bytes" in segment ? segment.bytes : segment.file.digest);
  const path = join(cache.recordsDir, "tars", `sha256-${key.digest("hex")}`);
  const known = await readRecord(path, RecordSchema, 1024);
  if (known !== undefined) return known.digest;
  const hash = createHash("sha256");
  for (const segment of segments) {
    if ("bytes" in segment) hash.update(segment.bytes);
    else await hashFile(segment.file, hash, signal, emit);
  }
  const digest = `sha256:${hash.digest("hex")}` as const;
  const temp = { tempPath: cache.tempPath, discardTemp: cache.discardTemp };
  // Without it the files are read again the next time.
  await writeRecord(temp, path, JSON.stringify({ version: 1, digest })).catch(() => undefined);
  return digest;
}

async function hashFile(
  file: PlacedFile,
  hash: ReturnType<typeof createHash>,
  signal: AbortSignal,
  emit: EmitEvent,
): Promise<void> {
  const { name: item, size } = file;
  emit({ type: "start", phase: "hash", item, group: "weights", bytes: size });
  const own = createHash("sha256");
  const source = await file.source(signal);
  for await (const chunk of blobChunks(source, { start: 0, end: size }, signal)) {
    hash.update(chunk);
    own.update(chunk);
    emit({ type: "progress", phase: "hash", item, bytes: chunk.byteLength });
  }
  if (`sha256:${own.digest("hex")}` !== file.digest) {
    throw new OcibundleError(
      "integrity",
      `weight ${quoted(item)}: the content does not match digest ${file.digest}`,
      { hint: file.mismatchHint },
    );
  }
  emit({ type: "done", phase: "hash", item });
}
