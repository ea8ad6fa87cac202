import { processInput } from "./cli/input.ts";
import { processOutput } from "./cli/output.ts";
import { type ProgramIo, run } from "./cli/run.ts";
import { commands } from "./commands/table.ts";

const stderr = processOutput(2);

/** Runs a command line with this process's streams, and resolves to its exit code. */
export const runProcess = (
  argv: readonly string[],
  around: Pick<ProgramIo, "env" | "cwd" | "signal">,
): Promise<number> =>
  run(argv, { stdout: processOutput(1), stderr, stdin: processInput, ...around }, commands);

/** Tells of an error that nobody caught, and gives the exit code for it. Never throws. */
export async function tellUncaught(error: unknown, verbose: boolean): Promise<number> {
  const { describeError, formatReport } = await import("./cli/error-report.ts");
  const report = describeError(error);
  stderr.write(formatReport(report, { verbose, colors: false }));
  return report.exitCode;
}
