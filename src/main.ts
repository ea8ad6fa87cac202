// The rest of the program is loaded once the handlers of signals stand: until then a signal ends the process
// with no exit code of ours.
import { onSecondSignal, stopSignal } from "./cli/stop-signals.ts";
import { exitCodes } from "./errors.ts";

async function endByBug(error: unknown): Promise<void> {
  // What was cut off by the user may complain after everyone stopped listening.
  if (stopSignal.aborted) return;
  try {
    const { tellUncaught } = await import("./program.ts");
    process.exit(await tellUncaught(error, process.argv.includes("-v")));
  } catch {
    process.exit(exitCodes.bug);
  }
}

onSecondSignal((code) => process.exit(exitCodes[code]));
process.on("uncaughtException", (error) => void endByBug(error));
process.on("unhandledRejection", (error) => void endByBug(error));

const { runProcess } = await import("./program.ts");
const { env, argv } = process;
process.exit(await runProcess(argv.slice(2), { env, cwd: process.cwd(), signal: stopSignal }));
