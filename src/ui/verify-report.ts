import type { VerifyReport } from "../report/verify.ts";
import { formatSize } from "./size.ts";
import { renderTable } from "./table.ts";

/** A line for each problem, and a last one: `OK: 17 files verified …` or `FAILED: 3 of 17 files differ …`. */
export function verifyReport({ name, dir, quick, checked, problems }: VerifyReport): string {
  const { items, bytes } = checked;
  const noun = dir === null ? "object" : "file";
  const count = `${items} ${noun}${items === 1 ? "" : "s"}`;
  const where = dir === null ? `in ${name}` : `in ${dir} against ${name}`;
  const read = quick ? "" : `, ${formatSize(bytes)} read`;
  const verdict =
    problems.length === 0
      ? `OK: ${count} ${quick ? "found" : "verified"}`
      : problems.length > items
        ? `FAILED: ${problems.length} problems with ${count}`
        : `FAILED: ${problems.length} of ${count} ${quick ? "missing" : "differ"}`;
  return (
    renderTable(problems.map(({ kind, item, detail }) => [kind, item, detail])) +
    `${verdict} ${where}${read}\n`
  );
}
