import { shortDigest } from "../oci/digest.ts";
import type { CacheContents, CachePruning, CacheVerification } from "../report/cache.ts";
import { lastLine } from "./result-line.ts";
import { formatSize } from "./size.ts";
import { type Cell, renderTable } from "./table.ts";
import type { View } from "./view.ts";

type Blob = CacheContents["blobs"][number];
type UnfinishedBlob = CacheContents["unfinished"][number];

const right = (text: string): Cell => ({ text, align: "right" });
const cut = (text: string): Cell => ({ text, cut: true });
/** To the minute, UTC. */
const formatTime = (time: Date): string => time.toISOString().slice(0, 16).replace("T", " ");
const formatCount = (count: number, noun: string): string =>
  `${count} ${noun}${count === 1 ? "" : "s"}`;

const row = (blob: Blob, ...more: string[]): Cell[] => [
  cut(blob.names.length === 0 ? "-" : blob.names.join(", ")),
  shortDigest(blob.digest),
  right(formatSize(blob.size)),
  formatTime(blob.lastUsed),
  cut(blob.origins[0] ?? "-"),
  ...more,
];

const unfinishedRow = (blob: UnfinishedBlob): Cell[] => [
  "(unfinished)",
  shortDigest(blob.digest),
  right(formatSize(blob.size)),
  formatTime(blob.lastUsed),
  "-",
];

const head: readonly Cell[] = ["NAME", "DIGEST", right("SIZE"), "LAST USED (UTC)", "FROM"];

/** The cache's blobs as a table, with a last line on all of them. */
export function cacheTable(
  { path, size, blobs, unfinished }: CacheContents,
  { columns }: View = {},
): string {
  const rows = [...blobs.map((blob) => row(blob)), ...unfinished.map(unfinishedRow)];
  const total = `${formatCount(blobs.length, "blob")}, ${formatSize(size)} in ${path}\n`;
  return rows.length === 0 ? total : renderTable(rows, { head, columns }) + total;
}

/** What `cache verify` found. */
export function cacheVerifyReport(
  { blobs, size, damaged }: CacheVerification,
  { columns }: View = {},
): string {
  const rows = damaged.map((blob) =>
    row(blob, blob.reason, blob.removed ? "removed" : "not removed"),
  );
  const table = rows.length === 0 ? "" : renderTable(rows, { head: [...head, "FAULT"], columns });
  return `${table}${formatCount(blobs, "blob")} verified, ${formatSize(size)}: ${damaged.length === 0 ? "OK" : `${damaged.length} damaged`}\n`;
}

/** What `cache prune` removed, or would. */
export function cachePruneReport(pruning: CachePruning, { columns }: View = {}): string {
  const { dryRun, removed, removedUnfinished, inUse, linked, kept, leftovers, freed } = pruning;
  const rows = [
    ...removed.map((blob) => row(blob)),
    ...removedUnfinished.map(unfinishedRow),
    ...inUse.map((blob) => row(blob, "in use")),
  ];
  const table = rows.length === 0 ? "" : renderTable(rows, { head, columns });
  const count = removed.length + removedUnfinished.length;
  const verb = dryRun ? "would remove" : "removed";
  const left = leftovers === 0 ? "" : ` and ${formatCount(leftovers, "leftover file")}`;
  const links = linked.length === 0 ? "" : `, ${linked.length} of them in use as hard links`;
  const line =
    `${verb} ${formatCount(count, "blob")}, ${formatSize(freed)}${left}; ` +
    `${formatCount(kept.blobs, "blob")} kept, ${formatSize(kept.bytes)}${links}`;
  return table + lastLine(line, columns);
}
