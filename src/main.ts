// First: until its handlers stand, a signal ends the process with no exit code of ours.
import { onSecondSignal, stopSignal } from "./cli/stop-signals.ts";
import { commands } from "./commands/table.ts";
import { processInput } from "./cli/input.ts";
import { processOutput } from "./cli/output.ts";
import { run } from "./cli/run.ts";
import { exitCodes } from "./errors.ts";

const io = {
  stdout: processOutput(1),
  stderr: processOutput(2),
  stdin: processInput,
  env: process.env,
  cwd: process.cwd(),
};

async function reportBug(error: unknown): Promise<void> {
  // What was cut off by the user may complain after everyone stopped listening.
  if (stopSignal.aborted) return;
  try {
    const { describeError, formatReport } = await import("./cli/error-report.ts");
    const report = describeError(error);
    io.stderr.write(formatReport(report, process.argv.includes("-v")));
    process.exit(report.exitCode);
  } catch {
    process.exit(exitCodes.bug);
  }
}

onSecondSignal((code) => process.exit(exitCodes[code]));
process.on("uncaughtException", (error) => void reportBug(error));
process.on("unhandledRejection", (error) => void reportBug(error));

process.exit(await run(process.argv.slice(2), { ...io, signal: stopSignal }, commands));
