import { shortDigest } from "../oci/digest.ts";
import type { RegistryListing, RepositoryListing, TagListing } from "../report/ls.ts";
import { lastLine } from "./result-line.ts";
import { formatSize } from "./size.ts";
import { type Cell, renderTable } from "./table.ts";
import { escapeText } from "./text.ts";
import type { View } from "./view.ts";

const right = (text: string): Cell => ({ text, align: "right" });
const sizeCell = (bytes: number | null): Cell => right(bytes === null ? "-" : formatSize(bytes));
const count = (number: number, noun: string, plural = `${noun}s`): string =>
  `${number} ${number === 1 ? noun : plural}`;

/** Below this width the time of day and SHARED, which is SIZE without OWN, are left out. */
const wide = 100;

const head = (isNarrow: boolean): Cell[] => [
  "TAG",
  "KIND",
  "DIGEST",
  right("SIZE"),
  right("OWN"),
  ...(isNarrow ? [] : [right("SHARED")]),
  isNarrow ? "CREATED" : "CREATED (UTC)",
  "SIGNED",
];

const kindOf = ({ kind, format, error }: TagListing): string => {
  if (error !== null) return kind === null ? "broken" : `${kind}, broken`;
  if (kind !== "weights" || format === null || format === "bundle") return kind ?? "-";
  return `weights (${format})`;
};

const row = (view: TagListing, isNarrow: boolean): Cell[] => [
  { text: view.tag, cut: true },
  kindOf(view),
  view.digest === null ? "-" : shortDigest(view.digest),
  sizeCell(view.size),
  sizeCell(view.own),
  ...(isNarrow ? [] : [sizeCell(view.shared)]),
  view.created === null ? "-" : view.created.slice(0, isNarrow ? 10 : 16).replace("T", " "),
  view.signed === null ? "?" : view.signed ? "yes" : "no",
];

/** The tags of a repository as a table with a last line on all of them. */
export function tagTable(
  { name, tags, size, attachments }: RepositoryListing,
  { columns }: View = {},
): string {
  const more = attachments === 0 ? "" : `; ${count(attachments, "attachment tag")} not listed`;
  const total = lastLine(
    `${escapeText(name)}: ${count(tags.length, "tag")}, ${formatSize(size)}${more}`,
    columns,
  );
  if (tags.length === 0) return total;
  const isNarrow = columns !== undefined && columns < wide;
  const rows = tags.map((tag) => row(tag, isNarrow));
  return renderTable(rows, { head: head(isNarrow), columns }) + total;
}

/** The repositories of a registry, one a line. */
export const repositoryList = (listing: RegistryListing): string =>
  listing.repositories.map((name) => `${escapeText(name)}\n`).join("");
