import { type ErrorReport, formatReport } from "./error-report.ts";
import type { Output } from "./output.ts";

/** In which forms a failure is told. */
export interface FailureForms {
  /** Every line of standard error is JSON. */
  jsonProgress: boolean;
  /** Standard output is one JSON document. */
  jsonResult: boolean;
  verbose: boolean;
  /** Whether a terminal shows colours. */
  colors: boolean;
}

/**
 * Tells a failure: on standard error always; on standard output too where that is to be a JSON document
 * (docs/json.md) and the command printed none. Never throws: the exit code is still to come.
 */
export function tellFailure(
  { code, exitCode, message, hint, details }: ErrorReport,
  { jsonProgress, jsonResult, verbose, colors }: FailureForms,
  { stdout, stderr }: { stdout: Output; stderr: Output },
): void {
  stderr.write(
    jsonProgress
      ? `${JSON.stringify({ type: "error", code, exitCode, message, hint })}\n`
      : formatReport(
          { code, exitCode, message, hint, details },
          { verbose, colors: stderr.isTerminal && colors },
        ),
  );
  if (!jsonResult) return;
  const error = { code, exitCode, message, hint: hint ?? null };
  try {
    stdout.write(`${JSON.stringify({ error }, null, 2)}\n`);
  } catch {
    // The failure that is being told came first, and decides the exit code.
  }
}
