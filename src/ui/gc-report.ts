import type { GcReason, GcReport } from "../report/gc.ts";
import { formatSize } from "./size.ts";
import { renderTable } from "./table.ts";
import type { View } from "./view.ts";

const reasons: Readonly<Record<GcReason, string>> = {
  recent: "used recently",
  "in-use": "in use",
  foreign: "has other files",
  unreadable: "cannot be removed",
};

const right = (text: string) => ({ text, align: "right" as const });

/** A line for each directory, and one on all. */
export function gcReport(
  { removed, kept, dryRun, freed, forgotten }: GcReport,
  { columns }: View = {},
): string {
  const rows = [
    ...removed.map((one) => ({ ...one, what: dryRun ? "would be removed" : "removed" })),
    ...kept.map((one) => ({
      ...one,
      what: reasons[one.reason] + (one.detail === null ? "" : `: ${one.detail}`),
    })),
  ].map(({ dir, size, lastUsed, what }) => [
    { text: dir, cut: true as const },
    right(formatSize(size)),
    lastUsed.toISOString().slice(0, 10),
    { text: what, wrap: true as const },
  ]);
  const gone = forgotten === 0 ? "" : `, ${forgotten} gone`;
  const head = ["DIRECTORY", "SIZE", "LAST PULL", ""];
  const table = rows.length === 0 ? "" : renderTable(rows, { head, columns });
  return `${table}${removed.length} ${dryRun ? "would be removed" : "removed"}, ${formatSize(freed)} freed, ${kept.length} kept${gone}\n`;
}
