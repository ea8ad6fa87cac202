import { commands } from "./commands/table.ts";
import { processInput } from "./cli/input.ts";
import { processOutput } from "./cli/output.ts";
import { run } from "./cli/run.ts";
import { OcibundleError, exitCodes } from "./errors.ts";

const io = {
  stdout: processOutput(1),
  stderr: processOutput(2),
  stdin: processInput,
  env: process.env,
  cwd: process.cwd(),
};
const abort = new AbortController();

function stopAt(signal: "SIGINT" | "SIGTERM", code: "interrupted" | "terminated"): void {
  process.on(signal, () => {
    // The second time, the user means now.
    if (abort.signal.aborted) process.exit(exitCodes[code]);
    abort.abort(
      new OcibundleError(code, code, { hint: "what was transferred is kept for the next run" }),
    );
  });
}

async function reportBug(error: unknown): Promise<void> {
  // What was cut off by the user may complain after everyone stopped listening.
  if (abort.signal.aborted) return;
  const { describeError, formatReport } = await import("./cli/error-report.ts");
  const report = describeError(error);
  io.stderr.write(formatReport(report, process.argv.includes("-v")));
  process.exit(report.exitCode);
}

stopAt("SIGINT", "interrupted");
stopAt("SIGTERM", "terminated");
process.on("uncaughtException", (error) => void reportBug(error));
process.on("unhandledRejection", (error) => void reportBug(error));

process.exit(await run(process.argv.slice(2), { ...io, signal: abort.signal }, commands));
