import type { LockDrift, LockReport, MockReport } from "../report/lock.ts";
import { formatSize } from "./size.ts";
import { type Cell, renderTable } from "./table.ts";
import { escapeText } from "./text.ts";

const count = (number: number, noun: string): string =>
  `${number} ${noun}${number === 1 ? "" : "s"}`;

/** How many names the line of what was left out has. */
const namesShown = 4;

/** "skipped (hidden or excluded): .git/, .cache/ and 3 more", or nothing. */
function leftOutLine(leftOut: readonly string[]): string {
  if (leftOut.length === 0) return "";
  const names = leftOut.slice(0, namesShown).map((name) => escapeText(name));
  const more = leftOut.length - names.length;
  return `skipped (hidden or excluded): ${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}\n`;
}

/** What left the lock, a line each; then what became of it, what is in it, how much had to be read. */
export function lockReport(view: LockReport): string {
  const { lock, changed, dryRun, files, size, storedSize, read, removed } = view;
  const what = `${escapeText(lock)} ${changed ? (dryRun ? "would be written" : "written") : "is up to date"}`;
  const stored = storedSize < size ? `, stored as ${formatSize(storedSize)}` : "";
  const work = read === 0 ? "no file read" : `${read} read`;
  const left = renderTable(removed.map((name) => ["removed", name]));
  return `${left}${what}: ${count(files.length, "file")}, ${formatSize(size)}${stored}, ${work}\n${leftOutLine(view.leftOut)}`;
}

/** A line for each file that differs, and nothing where none does. */
export function driftReport({ changed, missing, added }: LockDrift): string {
  const rows: Cell[][] = [
    ...changed.map(({ name, what }) => ["changed", name, what.join(", ")]),
    ...missing.map((name) => ["missing", name]),
    ...added.map((name) => ["added", name]),
  ];
  return rows.length === 0 ? "" : renderTable(rows);
}

/** "1 changed, 2 added" */
export const driftSummary = ({ changed, missing, added }: LockDrift): string =>
  (
    [
      ["changed", changed.length],
      ["missing", missing.length],
      ["added", added.length],
    ] as const
  )
    .filter(([, number]) => number > 0)
    .map(([what, number]) => `${number} ${what}`)
    .join(", ");

/** One line on what `mock-weights` made. */
export const mockReport = (view: MockReport): string =>
  `${escapeText(view.lock)} written: ${count(view.files.length, "file")}, ${formatSize(view.size)} in ${escapeText(view.directory)}\n`;
