import type { ModelsReport } from "../report/models-report.ts";
import { formatSize } from "./size.ts";
import { escapeText } from "./text.ts";

/** One line on a report that was written. Sizes in bytes. */
export function reportSummary({
  output,
  versions,
  size,
  leftOut,
}: ModelsReport & { output: string }): string {
  const count = `${versions.length} ${versions.length === 1 ? "version" : "versions"}`;
  const left = leftOut === 0 ? "" : `; ${leftOut} older tags omitted, use --last to include more`;
  return `wrote ${escapeText(output)}: ${count}, ${formatSize(size)}${left}\n`;
}
