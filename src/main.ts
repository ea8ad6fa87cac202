import { Readable } from "node:stream";
import { commands } from "./cli/commands.ts";
import { describeError, formatReport } from "./cli/error-report.ts";
import { processOutput } from "./cli/output.ts";
import { run } from "./cli/run.ts";
import { OcibundleError, exitCodes } from "./errors.ts";

const stdout = processOutput(() => process.stdout);
const stderr = processOutput(() => process.stderr);
const abort = new AbortController();

async function exit(code: number): Promise<never> {
  await Promise.all([stdout.flush(), stderr.flush()]);
  process.exit(code);
}

function stopAt(signal: "SIGINT" | "SIGTERM", code: "interrupted" | "terminated"): void {
  process.on(signal, () => {
    // The second time, the user means now.
    if (abort.signal.aborted) process.exit(exitCodes[code]);
    abort.abort(
      new OcibundleError(code, code, { hint: "what was transferred is kept for the next run" }),
    );
  });
}

function reportBug(error: unknown): void {
  // What was cut off by the user may complain after everyone stopped listening.
  if (abort.signal.aborted) return;
  stderr.write(formatReport(describeError(error), process.argv.includes("-v")));
  void exit(exitCodes.bug);
}

stopAt("SIGINT", "interrupted");
stopAt("SIGTERM", "terminated");
process.on("uncaughtException", reportBug);
process.on("unhandledRejection", reportBug);

const io = {
  stdout,
  stderr,
  stdin: () => Readable.toWeb(process.stdin) as unknown as ReadableStream<Uint8Array>,
  env: process.env,
  cwd: process.cwd(),
  signal: abort.signal,
};
await exit(await run(process.argv.slice(2), io, commands));
