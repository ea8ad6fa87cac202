import type { ReportFormat } from "./command.ts";
import type { CommandContext } from "./context.ts";

/** A JSON document as it is printed. */
export const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/**
 * Prints a report as `--json`, `--quiet` or people want it. The report that a command returns is printed by
 * `run`; a command that prints before it ends, as a server does, calls this itself.
 */
export function printReport<Report>(
  format: ReportFormat<Report>,
  report: Report,
  { columns, flags, stdout }: Pick<CommandContext, "columns" | "flags" | "stdout">,
): void {
  if (flags.json) stdout(json(format.json?.(report) ?? report));
  else if (flags.quiet && format.digest !== undefined) stdout(`${format.digest(report)}\n`);
  else stdout(format.text(report, { columns, verbose: flags.verbose }));
}
