import type { CompressionChoice } from "../format/compression.ts";
import {
  compressionOf,
  layerTypes,
  sortedByName,
  type WeightEntry,
} from "../format/weight-entry.ts";
import type { WeightContent } from "../weights/file-state.ts";
import type { WeightFile } from "../weights/weight-files.ts";

/** What Cog writes, and the truth about any file. */
const contentType = "application/octet-stream";

/** Where a file goes: as the lock has it, unless somebody said another place. */
export const destOf = (file: WeightFile, before: WeightEntry | undefined): string =>
  file.destIsDefault && before !== undefined ? before.dest : file.dest;

/** How an unchanged file of this size is stored by the previous lock; `auto` when that says nothing. */
export function storedAs(before: WeightEntry | undefined, size: number): CompressionChoice {
  if (before?.sizeUncompressed !== size) return "auto";
  // The digests say what the blob is; a media type may say otherwise (docs/format.md).
  return before.digest === before.digestOriginal ? "none" : codecOf(before);
}

const codecOf = (entry: WeightEntry): CompressionChoice => {
  const compression = compressionOf(entry.mediaType);
  return compression === "none" ? "auto" : compression;
};

/** A file's entry: what is unknown here stays of the one before. */
export function entryOf(
  { name, dest, remote }: WeightFile,
  { digest, size, stored }: WeightContent,
  before: WeightEntry | undefined,
  keepMediaType: boolean,
): WeightEntry {
  const entry: WeightEntry = {
    ...before,
    name,
    dest,
    digestOriginal: digest,
    digest: stored?.digest ?? digest,
    size: stored?.size ?? size,
    sizeUncompressed: size,
    mediaType: layerTypes[stored?.codec ?? "none"],
    contentType: before === undefined ? contentType : before.contentType,
  };
  if (entry.contentType === undefined) delete entry.contentType;
  if (remote !== undefined || before?.digestOriginal !== digest) {
    delete entry["source"];
    delete entry["sourceVersion"];
  }
  if (remote !== undefined) entry["source"] = remote.uri;
  if (remote?.version !== undefined) entry["sourceVersion"] = remote.version;
  const isSameBlob = before?.digest === entry.digest && before.digestOriginal === digest;
  if (keepMediaType && isSameBlob) entry.mediaType = before.mediaType;
  return entry;
}

/** Whether two lists have the same entries, in whatever order. */
export const isSameSet = (a: readonly WeightEntry[], b: readonly WeightEntry[]): boolean =>
  canonical(a) === canonical(b);

const canonical = (entries: readonly WeightEntry[]): string =>
  JSON.stringify(
    sortedByName(entries).map((entry) =>
      Object.entries(entry).toSorted(([x], [y]) => (x < y ? -1 : 1)),
    ),
  );
