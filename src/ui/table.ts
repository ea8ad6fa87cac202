import { cutName } from "./cut-name.ts";
import { displayWidth, escapeText, pad, wrap } from "./text.ts";

/**
 * Text of a column; sizes and other numbers are aligned to the right. On a terminal that is too narrow, names
 * and paths that are `cut` lose their middle, and sentences in the last column that `wrap` go on below
 * themselves, or stand below the row where a word of them has no room beside it. Control characters are shown escaped.
 */
export type Cell =
  | string
  | { text: string; align: "right" }
  | { text: string; cut: true }
  | { text: string; wrap: true };

const gap = "  ";

/** Before what stands below its row. */
const below = "    ";

/** A cut column keeps this many columns, and a wrapped one as many. */
const narrowest = 12;
/** A wrapped column gets this many where another one can be cut for it. */
const room = 20;
/** Columns are aligned up to here: one name of a megabyte must not make a megabyte of spaces in every other row. */
const mostAligned = 256;

/**
 * Puts cells into columns as wide as their widest, up to a limit, cut and wrapped to `columns` of a terminal where
 * given. A list of lines for each row: more than one only where a cell is wrapped. No line ends in a space. Rows are
 * gone through twice, and nothing is kept of them.
 */
export function* alignedRows(
  rows: Iterable<readonly Cell[]>,
  columns = Number.POSITIVE_INFINITY,
): Generator<string[], void, undefined> {
  const widths = widthsOf(rows, columns);
  for (const row of rows) {
    const lines = [""];
    for (const [column, cell] of row.entries()) {
      const text = textOf(cell);
      const width = widths[column] ?? 0;
      const before = column === 0 ? "" : gap;
      if (typeof cell !== "string" && "wrap" in cell) {
        const start = displayWidth(lines[0] ?? "") + before.length;
        const beside = wrap(text, Math.max(narrowest, columns - start));
        const fits = beside.every((line) => displayWidth(line) <= columns - start);
        if (fits || start <= below.length) {
          const [first = "", ...more] = beside;
          lines[0] += before + first;
          lines.push(...more.map((line) => " ".repeat(start) + line));
        } else {
          const lower = wrap(text, Math.max(narrowest, columns - below.length));
          lines.push(...lower.map((line) => below + line));
        }
      } else {
        const shown = typeof cell !== "string" && "cut" in cell ? cutName(text, width) : text;
        const align = typeof cell !== "string" && "align" in cell ? cell.align : "left";
        lines[0] += before + pad(shown, Math.min(width, mostAligned), align);
      }
    }
    yield lines.map((line) => line.trimEnd());
  }
}

const textOf = (cell: Cell): string => escapeText(typeof cell === "string" ? cell : cell.text);

/** Of each column; the widest of those that may be cut shrink until a line fits, or nothing is left to cut. */
function widthsOf(rows: Iterable<readonly Cell[]>, columns: number): number[] {
  const widths: number[] = [];
  const cuttable = new Set<number>();
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      const width = displayWidth(textOf(cell));
      const isWrapped = typeof cell !== "string" && "wrap" in cell;
      // A sentence that is a row of its own stands below the columns, not in one.
      if (isWrapped && row.length === 1) continue;
      // What is cut leaves room for what follows it.
      widths[column] = Math.max(widths[column] ?? 0, isWrapped ? Math.min(width, room) : width);
      if (typeof cell !== "string" && "cut" in cell) cuttable.add(column);
    }
  }
  if (columns === Number.POSITIVE_INFINITY) return widths;
  let excess = widths.reduce((sum, width) => sum + width + gap.length, -gap.length) - columns;
  while (excess > 0) {
    const most = Math.max(0, ...Array.from(cuttable, (column) => widths[column] ?? 0));
    if (most <= narrowest) break;
    const widest = [...cuttable].find((column) => widths[column] === most);
    if (widest !== undefined) widths[widest] = most - 1;
    excess -= 1;
  }
  return widths;
}

/** A table with an optional head, one line a row, each ending in a newline. */
export function renderTable(
  rows: readonly (readonly Cell[])[],
  { head, columns }: { head?: readonly Cell[]; columns?: number | undefined } = {},
): string {
  const aligned = alignedRows(head === undefined ? rows : [head, ...rows], columns);
  return [...aligned]
    .flat()
    .map((line) => `${line}\n`)
    .join("");
}
