import { readFileSync } from "node:fs";
import { type ErrorCode, OcibundleError } from "../errors.ts";

/**
 * Signals that end a run. `main` imports this module before all others, so that the handlers are there before
 * the rest of the program is loaded: until then a signal kills the process, and no exit code is ours.
 */

const stopping = new AbortController();

/** Aborted by the first signal, with an OcibundleError (`interrupted`, `terminated`, `hangup`) as its reason. */
export const stopSignal: AbortSignal = stopping.signal;

const again: { end?: (code: ErrorCode) => void } = {};

/** Sets what a second signal does: the user does not want to wait for the first. */
export function onSecondSignal(end: (code: ErrorCode) => void): void {
  again.end = end;
}

function stopAt(signal: NodeJS.Signals, code: ErrorCode, message: string): void {
  process.on(signal, () => {
    if (stopping.signal.aborted) {
      again.end?.(code);
      return;
    }
    const hint = "run the command again to resume";
    stopping.abort(new OcibundleError(code, message, { hint }));
  });
}

/** Whether the process was told to ignore SIGHUP, as `nohup` does. A handler would undo that. */
function ignoresHangup(): boolean {
  try {
    const [, mask = "1"] =
      /^SigIgn:\s*[0-9a-f]*([0-9a-f])$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return (Number.parseInt(mask, 16) & 1) === 1;
  } catch {
    // Not known: the system's own treatment is right either way.
    return true;
  }
}

stopAt("SIGINT", "interrupted", "interrupted");
stopAt("SIGTERM", "terminated", "terminated");
if (!ignoresHangup()) stopAt("SIGHUP", "hangup", "the terminal was closed");
