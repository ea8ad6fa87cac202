import { stripVTControlCharacters } from "node:util";
import { displayWidth, pad, wrap } from "../ui/text.ts";

/** A line of help has no more columns than this: what any terminal has. */
const columns = 80;
const indent = "  ";
const gap = "  ";

/** A flag that is wider, with its value, has a line of its own. */
const widestLabel = 26;

type Row = readonly [label: string, description: string];

/**
 * Lays out the tables of citty's help (arguments, options, commands): what is typed at the left, what it does
 * beside it, broken between words. citty puts each on one line, however long, with the names at the right.
 */
export function layOutHelp(usage: string): string {
  const lines: string[] = [];
  let rows: Row[] | undefined;
  for (const line of usage.split("\n")) {
    const row = rows === undefined ? null : /^ *(\S.*?) {4}(.*)$/.exec(line);
    if (row !== null) rows?.push([row[1] ?? "", (row[2] ?? "").trim()]);
    else {
      if (rows !== undefined && rows.length > 0) {
        lines.push(...layOutTable(rows));
        rows = undefined;
      }
      if (/^(?:ARGUMENTS|OPTIONS|COMMANDS)$/.test(stripVTControlCharacters(line))) rows = [];
      lines.push(line);
    }
  }
  return [...lines, ...layOutTable(rows ?? [])].join("\n");
}

function layOutTable(rows: readonly Row[]): string[] {
  const widths = rows.map(([label]) => displayWidth(label)).filter((width) => width <= widestLabel);
  const left = Math.max(0, ...widths);
  const beside = columns - indent.length - left - gap.length;
  return rows.flatMap(([label, description]) => {
    const texts = wrap(description, beside);
    const isWide = displayWidth(label) > left;
    const first = isWide ? [indent + label] : [];
    const names = isWide ? [] : [label];
    return [
      ...first,
      ...texts.map((text, at) => (indent + pad(names[at] ?? "", left) + gap + text).trimEnd()),
    ];
  });
}
