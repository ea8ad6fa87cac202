import { cpus, totalmem } from "node:os";
import type { Result } from "./measure.ts";

/** A figure that is to be reached, from the medians of one run. */
export interface Figure {
  name: string;
  value: number;
  needed: { atLeast: number } | { atMost: number };
  /** What the value counts: `GB/s`, `MB`, `s`, or nothing for a ratio. */
  unit: string;
}

export function reached({ value, needed }: Figure): boolean {
  return "atLeast" in needed ? value >= needed.atLeast : value <= needed.atMost;
}

/** The machine that the figures are of. */
export function machine() {
  const [first] = cpus();
  return {
    cpus: cpus().length,
    model: first?.model ?? "unknown",
    memoryBytes: totalmem(),
    system: `${process.platform} ${process.arch}`,
    bun: Bun.version,
  };
}

/** The results and figures as markdown tables. */
export function tables(results: readonly Result[], figures: readonly Figure[]): string {
  const rows = results.map(({ benchmark, contestant, bytes, median }) => [
    benchmark,
    contestant,
    median.seconds.toFixed(median.seconds < 1 ? 3 : 2),
    bytes === 0 ? "" : (bytes / 1e9 / median.seconds).toFixed(2),
    median.cpuSeconds.toFixed(median.cpuSeconds < 1 ? 3 : 2),
    bytes === 0 ? "" : (median.cpuSeconds / (bytes / 1e9)).toFixed(2),
    median.peakBytes === undefined ? "" : (median.peakBytes / 1e6).toFixed(0),
  ]);
  const figureRows = figures.map((figure) => [
    figure.name,
    "atLeast" in figure.needed
      ? `at least ${figure.needed.atLeast}`
      : `at most ${figure.needed.atMost}`,
    figure.value.toFixed(2),
    figure.unit,
    reached(figure) ? "reached" : "missed",
  ]);
  return [
    table(["benchmark", "who", "s", "GB/s", "CPU s", "CPU s/GB", "peak MB"], rows),
    table(["figure", "needed", "measured", "unit", ""], figureRows),
  ].join("\n");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line), ""].join(
    "\n",
  );
}
