import { displayWidth, escapeText, pad } from "./text.ts";

/** Text of a column; sizes and other numbers are aligned to the right. Control characters are shown escaped. */
export type Cell = string | { text: string; align: "right" };

const gap = "  ";

/** Puts cells into columns as wide as their widest. No line ends in a space. */
export function alignColumns(rows: readonly (readonly Cell[])[]): string[] {
  const widths: number[] = [];
  const lines = rows.map((row) =>
    row.map((cell, column) => {
      const text = escapeText(typeof cell === "string" ? cell : cell.text);
      widths[column] = Math.max(widths[column] ?? 0, displayWidth(text));
      return { text, align: typeof cell === "string" ? ("left" as const) : cell.align };
    }),
  );
  return lines.map((cells) =>
    cells
      .map(({ text, align }, column) => pad(text, widths[column] ?? 0, align))
      .join(gap)
      .trimEnd(),
  );
}

/** A table with an optional head, one line a row, each ending in a newline. */
export function renderTable(rows: readonly (readonly Cell[])[], head?: readonly Cell[]): string {
  return alignColumns(head === undefined ? rows : [head, ...rows])
    .map((line) => `${line}\n`)
    .join("");
}
