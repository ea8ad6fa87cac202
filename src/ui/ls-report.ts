import { shortDigest } from "../oci/digest.ts";
import type { RegistryListing, RepositoryListing, TagListing } from "../report/ls.ts";
import { formatSize } from "./size.ts";
import { type Cell, renderTable } from "./table.ts";
import { escapeText } from "./text.ts";

const right = (text: string): Cell => ({ text, align: "right" });
const sizeCell = (bytes: number | null): Cell => right(bytes === null ? "-" : formatSize(bytes));
const count = (number: number, noun: string, plural = `${noun}s`): string =>
  `${number} ${number === 1 ? noun : plural}`;

const head: readonly Cell[] = [
  "TAG",
  "KIND",
  "DIGEST",
  right("SIZE"),
  right("OWN"),
  right("SHARED"),
  "CREATED (UTC)",
  "SIGNED",
];

const kindOf = ({ kind, format, error }: TagListing): string => {
  if (error !== null) return kind === null ? "broken" : `${kind}, broken`;
  if (kind !== "weights" || format === null || format === "bundle") return kind ?? "-";
  return `weights (${format})`;
};

const row = (view: TagListing): Cell[] => [
  view.tag,
  kindOf(view),
  view.digest === null ? "-" : shortDigest(view.digest),
  sizeCell(view.size),
  sizeCell(view.own),
  sizeCell(view.shared),
  view.created === null ? "-" : view.created.slice(0, 16).replace("T", " "),
  view.signed === null ? "?" : view.signed ? "yes" : "no",
];

/** The tags of a repository as a table with a last line on all of them. */
export function tagTable({ name, tags, size, attachments }: RepositoryListing): string {
  const more = attachments === 0 ? "" : `; ${count(attachments, "attachment tag")} not listed`;
  const total = `${escapeText(name)}: ${count(tags.length, "tag")}, ${formatSize(size)}${more}\n`;
  return tags.length === 0 ? total : renderTable(tags.map(row), { head }) + total;
}

/** The repositories of a registry, one a line. */
export const repositoryList = (listing: RegistryListing): string =>
  listing.repositories.map((name) => `${escapeText(name)}\n`).join("");
