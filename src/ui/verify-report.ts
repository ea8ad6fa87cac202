import { formatSize } from "./size.ts";
import { renderTable } from "./table.ts";

/** What `verify` shows. Sizes in bytes. */
export interface VerifyView {
  name: string;
  dir: string | null;
  quick: boolean;
  checked: { items: number; bytes: number };
  problems: readonly { item: string; kind: string; detail: string }[];
}

/** A line for each thing that is wrong, and one on what was looked at. */
export function verifyReport({ name, dir, quick, checked, problems }: VerifyView): string {
  const where = dir === null ? name : `${dir} against ${name}`;
  const how = quick ? "looked up" : `checked, ${formatSize(checked.bytes)} read`;
  const found =
    problems.length === 0 ? "all as it should be" : `${problems.length} not as it should be`;
  return (
    renderTable(problems.map(({ kind, item, detail }) => [kind, item, detail])) +
    `verified ${where}: ${checked.items} ${how}, ${found}\n`
  );
}
