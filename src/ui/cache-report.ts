import { type Digest, shortDigest } from "../oci/digest.ts";
import { formatSize } from "./size.ts";
import { type Cell, renderTable } from "./table.ts";

interface BlobView {
  digest: Digest;
  /** In bytes. */
  size: number;
  lastUsed: Date;
  names: readonly string[];
  origins: readonly string[];
  linked: boolean;
}

interface UnfinishedView {
  digest: Digest;
  size: number;
  lastUsed: Date;
}

const right = (text: string): Cell => ({ text, align: "right" });
/** To the minute, UTC. */
const formatTime = (time: Date): string => time.toISOString().slice(0, 16).replace("T", " ");
const formatCount = (count: number, noun: string): string =>
  `${count} ${noun}${count === 1 ? "" : "s"}`;

const row = (blob: BlobView, ...more: string[]): Cell[] => [
  blob.names.length === 0 ? "-" : blob.names.join(", "),
  shortDigest(blob.digest),
  right(formatSize(blob.size)),
  formatTime(blob.lastUsed),
  blob.origins[0] ?? "-",
  ...more,
];

const unfinishedRow = (blob: UnfinishedView): Cell[] => [
  "(unfinished)",
  shortDigest(blob.digest),
  right(formatSize(blob.size)),
  formatTime(blob.lastUsed),
  "-",
];

const head: readonly Cell[] = ["NAME", "DIGEST", right("SIZE"), "LAST USED (UTC)", "FROM"];

/** The cache's blobs as a table, with a last line on all of them. */
export function cacheTable(contents: {
  path: string;
  size: number;
  blobs: readonly BlobView[];
  unfinished: readonly UnfinishedView[];
}): string {
  const { path, size, blobs, unfinished } = contents;
  const rows = [...blobs.map((blob) => row(blob)), ...unfinished.map(unfinishedRow)];
  const total = `${formatCount(blobs.length, "blob")}, ${formatSize(size)} in ${path}\n`;
  return rows.length === 0 ? total : renderTable(rows, { head }) + total;
}

/** What `cache verify` found. */
export function cacheVerifyReport(verification: {
  blobs: number;
  size: number;
  damaged: readonly (BlobView & { reason: string; removed: boolean })[];
}): string {
  const { blobs, size, damaged } = verification;
  const rows = damaged.map((blob) =>
    row(blob, blob.reason, blob.removed ? "removed" : "not removed"),
  );
  const table = rows.length === 0 ? "" : renderTable(rows, { head: [...head, "FAULT"] });
  return `${table}${formatCount(blobs, "blob")} verified, ${formatSize(size)}: ${damaged.length === 0 ? "OK" : `${damaged.length} damaged`}\n`;
}

/** What `cache prune` removed, or would. */
export function cachePruneReport(pruning: {
  dryRun: boolean;
  removed: readonly BlobView[];
  removedUnfinished: readonly UnfinishedView[];
  inUse: readonly BlobView[];
  linked: readonly BlobView[];
  kept: { blobs: number; bytes: number };
  leftovers: number;
  freed: number;
}): string {
  const { dryRun, removed, removedUnfinished, inUse, linked, kept, leftovers, freed } = pruning;
  const rows = [
    ...removed.map((blob) => row(blob)),
    ...removedUnfinished.map(unfinishedRow),
    ...inUse.map((blob) => row(blob, "in use")),
  ];
  const table = rows.length === 0 ? "" : renderTable(rows, { head });
  const count = removed.length + removedUnfinished.length;
  const verb = dryRun ? "would remove" : "removed";
  const left = leftovers === 0 ? "" : ` and ${formatCount(leftovers, "leftover file")}`;
  const links = linked.length === 0 ? "" : `, ${linked.length} of them in use as hard links`;
  return (
    `${table}${verb} ${formatCount(count, "blob")}, ${formatSize(freed)}${left}; ` +
    `${formatCount(kept.blobs, "blob")} kept, ${formatSize(kept.bytes)}${links}\n`
  );
}
