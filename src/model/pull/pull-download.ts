import { rename } from "node:fs/promises";
import { OcibundleError } from "../../errors.ts";
import { slice } from "../../flow/passing.ts";
import type { ByteRange } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { refusesRanges } from "../../registry/refusal.ts";
import { runtime } from "../../runtime/current.ts";
import type { JournalPlace } from "../../transfer/download/download-journal.ts";
import type { OpenRange } from "../../transfer/download/range-work.ts";
import type { RecentFile } from "../../transfer/download/recent-blocks.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import type { BlobPart, FetchContext, PullSource } from "./pull-context.ts";
import { fileNameOf, quoted, type WeightEntry } from "../format/weight-entry.ts";

/** What is told of one weight while it is fetched, in one place or, where that fails, in another. */
export interface FetchProgress {
  start(): void;
  /** Further bytes are there, of an earlier run where `resumed`; negative for those that are fetched again. */
  tell(bytes: number, resumed?: boolean): void;
  /** Further bytes were taken from what lies on this machine. */
  reuse(bytes: number): void;
  /** None of what was told counts any more. */
  takeBack(): void;
  /**
   * The bytes up to `front` are where the file grows, not verified but for those up to `proven`; 0 before each
   * new try at a blob, and less than before where a part is fetched again.
   */
  front?(front: number, proven?: number): void;
  /** The blob is right, though it may not be on the disk yet. */
  verified?(): void;
}

/** The progress of a weight's download: begun once, however often it is gone about. */
export function fetchProgress(entry: WeightEntry, emit: EmitEvent): FetchProgress {
  const { name: item, size } = entry;
  let started = false;
  let told = 0;
  const tell = (bytes: number, resumed = false): void => {
    told += bytes;
    emit({
      type: "progress",
      phase: "download",
      item,
      bytes,
      ...(resumed ? { resumed } : {}),
    });
  };
  return {
    start() {
      if (started) return;
      started = true;
      emit({
        type: "start",
        phase: "download",
        item,
        group: "weights",
        bytes: size,
        file: fileNameOf(entry),
      });
    },
    tell,
    reuse(bytes) {
      told += bytes;
      emit({ type: "progress", phase: "download", item, bytes, resumed: true, reused: true });
    },
    takeBack() {
      if (told !== 0) tell(-told);
    },
  };
}

/** What of an entry is fetched. */
export const storedBlob = ({ mediaType, digest, size }: WeightEntry): Descriptor => ({
  mediaType,
  digest,
  size,
});

/**
 * Downloads an entry's original to `output`, growing in `place`. Throws `integrity`, `not_found`,
 * `denied`, `network`, `file`, `system`; what of the blob is there then stays in `place` unless it is wrong.
 */
export async function download(
  entry: WeightEntry,
  place: JournalPlace,
  output: string,
  {
    session: { signal },
    source,
    downloader,
    parts,
    recent,
  }: Pick<FetchContext, "source" | "downloader" | "parts"> & {
    session: { signal: AbortSignal };
    recent?: RecentFile | undefined;
  },
  progress: FetchProgress,
): Promise<void> {
  const descriptor = storedBlob(entry);
  progress.start();
  const fetchBlob = async (): Promise<string> => {
    try {
      return await downloader.download(
        {
          descriptor,
          open: rangesOf(source, descriptor, parts.get(entry)),
          host: source.host ?? source.name,
          label: labelOf(entry),
          item: entry.name,
          place,
          original: { digest: entry.digestOriginal, size: entry.sizeUncompressed },
          decoded: output,
        },
        {
          signal,
          onBytes: progress.tell,
          onFront: progress.front,
          onVerified: progress.verified,
          recent,
        },
      );
    } catch (error) {
      // A mirror's bytes: the registry behind it may have the right ones.
      const isWrong = error instanceof OcibundleError && error.code === "integrity";
      if (!isWrong || source.reportCorrupt?.(descriptor.digest) !== true) {
        throw explained(error, entry, source);
      }
      progress.takeBack();
      return fetchBlob();
    }
  };
  const written = await fetchBlob();
  // What turned out not to be compressed stays where the blob grew.
  if (written !== output) await rename(written, output);
}

/** A failure to have a weight's blob: which weight it is, and what to do where the source is at fault. */
export function explained(error: unknown, entry: WeightEntry, { name }: PullSource): unknown {
  if (!(error instanceof OcibundleError)) return error;
  const { code, message, cause } = error;
  if (code === "not_found") {
    return new OcibundleError(code, `${labelOf(entry)}: ${message}`, {
      hint: `push or copy ${name} again: its manifest exists, but the blob does not`,
      cause,
    });
  }
  if (code !== "integrity" || error.hint !== undefined) return error;
  const hint = `run \`ocibundle verify ${name}\` for details, then push or copy it again`;
  return new OcibundleError(code, message, { hint, cause });
}

/** What a file is called in messages about its blob. */
export const labelOf = ({ name }: WeightEntry): string => `weight ${quoted(name)}`;

/** How the bytes of a file are asked for, of a registry or of a layout's file: a blob, or a part of one. */
export function rangesOf(
  source: PullSource,
  descriptor: Descriptor,
  part: BlobPart | undefined,
): OpenRange {
  if (part === undefined) return rangesOfBlob(source, descriptor);
  const { blob, offset } = part;
  const open = rangesOfBlob(source, blob);
  return async (asked, signal) => {
    const range = asked ?? { start: 0, end: descriptor.size };
    const wanted = { start: offset + range.start, end: offset + range.end };
    // Who asks for all of the file has been refused ranges of it, and takes the whole blob for it.
    const ask = asked === undefined ? rangeOrWhole : openRange;
    const { range: got, body } = await ask(open, wanted, signal);
    if (got.start === wanted.start && got.end === wanted.end) return { range, body };
    // A server without ranges sent all of it: then the file comes whole, without what is around it.
    const whole = { start: 0, end: descriptor.size };
    return { range: whole, body: slice(body, offset - got.start, descriptor.size) };
  };
}

const openRange = (open: OpenRange, range: ByteRange, signal: AbortSignal) => open(range, signal);

/** Asks for a range, or for all of the blob where the server refuses ranges: the answer says which came. */
export async function rangeOrWhole(
  open: OpenRange,
  range: ByteRange,
  signal: AbortSignal,
): ReturnType<OpenRange> {
  try {
    return await open(range, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!refusesRanges(error)) throw error;
    return open(undefined, signal);
  }
}

/** How the bytes of a blob are asked for: of a registry, or of a layout's file. */
export function rangesOfBlob(reader: PullSource, descriptor: Descriptor): OpenRange {
  const { ranges } = reader;
  if (ranges !== undefined) return (range, signal) => ranges(descriptor, range, signal);
  return async (asked, signal) => {
    const range = asked ?? { start: 0, end: descriptor.size };
    const source = await reader.blobSource(descriptor, signal);
    if (source.kind === "stream") return { range, body: await source.open(range, signal) };
    const body =
      source.kind === "file"
        ? await runtime.fileBody(
            source.path,
            source.offset + range.start,
            source.offset + range.end,
          )
        : new Blob([source.bytes.slice(range.start, range.end)]);
    return { range, body: body.stream() };
  };
}
