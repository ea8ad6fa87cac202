import type { VerifyReport } from "../report/verify.ts";
import { formatSize } from "./size.ts";
import { lastLine } from "./result-line.ts";
import { type Cell, renderTable } from "./table.ts";
import { escapeText } from "./text.ts";
import type { View } from "./view.ts";

const kinds = {
  missing: "missing",
  differs: "different",
  unreadable: "unreadable",
  uncompared: "not compared",
  extra: "extra",
} as const;

/** `1 missing, 2 different`: what is wrong, by its kind. */
export const countProblems = (problems: VerifyReport["problems"]): string =>
  Object.entries(kinds)
    .flatMap(([kind, word]) => {
      const { length } = problems.filter((problem) => problem.kind === kind);
      return length === 0 ? [] : [`${length} ${word}`];
    })
    .join(", ");

/** A line for each problem, and a last one: `OK: 17 files verified …` or `FAILED: 3 different; 17 files checked …`. */
export function verifyReport(
  /** `shownDir`: the directory as it was named. */
  report: VerifyReport & { shownDir?: string | undefined },
  { columns }: View = {},
): string {
  const { name, dir, quick, checked, problems, shownDir = dir } = report;
  const { items, bytes } = checked;
  const noun = dir === null ? "object" : "file";
  const count = `${items} ${noun}${items === 1 ? "" : "s"}`;
  const where = dir === null ? `in ${name}` : `in ${shownDir} against ${name}`;
  const read = quick ? "" : `, ${formatSize(bytes)} read`;
  const verdict =
    problems.length === 0
      ? `OK: ${count} ${quick ? "found" : "verified"}`
      : `FAILED: ${countProblems(problems)}; ${count} checked`;
  // For a person the path below the directory says enough, and fits.
  const shown = (item: string): string =>
    columns !== undefined && dir !== null && item.startsWith(`${dir}/`)
      ? item.slice(dir.length + 1)
      : item;
  const rows = problems.map(({ kind, item, detail }): Cell[] => [
    kind === "uncompared" ? kinds[kind] : kind,
    { text: shown(item), cut: true },
    { text: detail, wrap: true },
  ]);
  return (
    renderTable(rows, { columns }) + lastLine(escapeText(`${verdict} ${where}${read}`), columns)
  );
}
