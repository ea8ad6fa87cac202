import { OcibundleError, errno, exitCodes, causesOf } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import { openFileLimit } from "../runtime/open-files.ts";
import { escapeText } from "../ui/text.ts";
import { defaultHint } from "./default-hint.ts";
import { redact } from "./redact.ts";
import { faultCode } from "../runtime/file-faults.ts";

/** A failure as it is shown and as a script sees it. */
export interface ErrorReport {
  code: ErrorCode;
  exitCode: number;
  /** One line, secrets struck out, safe on a terminal. */
  message: string;
  hint: string | undefined;
  /** Causes and stack, for `--verbose`; several lines. */
  details: string;
}

const stops: ReadonlySet<ErrorCode> = new Set(["interrupted", "terminated", "hangup"]);

const networkErrors = new Set(
  "EADDRINUSE EADDRNOTAVAIL EAI_AGAIN ECONNABORTED ECONNREFUSED ECONNRESET EHOSTUNREACH ENETDOWN ENETUNREACH ENOTFOUND EPIPE ETIMEDOUT".split(
    " ",
  ),
);

/**
 * Says what failed. `usageHint` is for a mistake on the command line that has no hint of its own. An error that nobody
 * foresaw is a bug, unless the system said what it is.
 */
export function describeError(error: unknown, usageHint?: string): ErrorReport {
  const known = expected(error);
  if (known === undefined || known.code === "bug") {
    const name = error instanceof Error ? error.name : "value thrown";
    return {
      code: "bug",
      exitCode: exitCodes.bug,
      message: safe(known?.message ?? `unexpected ${name}: ${messageOf(error)}`),
      hint: "this is a bug in ocibundle; run the command again with -v and report its output",
      details: detailsOf(error),
    };
  }
  const hint = known.hint ?? (known.code === "usage" ? usageHint : defaultHint(known, known.code));
  return {
    code: known.code,
    exitCode: exitCodes[known.code],
    message: safe(known.message),
    hint: hint === undefined ? undefined : safe(hint),
    // Who ends a run knows where that came from.
    details: stops.has(known.code) ? "" : detailsOf(error),
  };
}

/** An `error:` line and a `hint:` line, each ending in a newline; details only where asked for. */
export function formatReport(
  report: ErrorReport,
  { verbose, colors }: { verbose: boolean; colors: boolean },
): string {
  const paint = (code: number, text: string): string =>
    colors ? `\u001B[${code}m${text}\u001B[39m` : text;
  const lines = [`${paint(red, "error:")} ${report.message}`];
  if (report.hint !== undefined) lines.push(`${paint(cyan, "hint:")} ${report.hint}`);
  if (verbose && report.details !== "") lines.push(report.details);
  return lines.map((line) => `${line}\n`).join("");
}

/** Who ran out of open files can raise the limit, whatever was to be opened. */
function tooManyFiles(error: unknown): OcibundleError | undefined {
  for (const at of causesOf(error)) {
    const isLimit = errno(at) === "EMFILE" || /FdQuotaExceeded/.test(at.message);
    if (!isLimit || at instanceof OcibundleError) continue;
    const limit = openFileLimit();
    const many = limit === undefined ? "" : `: the limit is ${limit} (ulimit -n)`;
    return new OcibundleError("system", `too many open files${many}`, {
      hint: "raise the limit with `ulimit -n 1024`, or use --concurrency 1",
      cause: error,
    });
  }
  return undefined;
}

function expected(error: unknown): OcibundleError | undefined {
  const tooMany = tooManyFiles(error);
  if (tooMany !== undefined) return tooMany;
  if (error instanceof OcibundleError) return error;
  if (error instanceof AggregateError) {
    return error.errors.map(expected).find((inner) => inner !== undefined);
  }
  const code = errno(error);
  if (code === undefined) return undefined;
  // Nobody said what was being done; what exists already was met by a write.
  const isTaken = code === "EEXIST" || code === "ENOTEMPTY";
  const fault = faultCode(error, isTaken ? "writing" : "reading");
  if (fault !== undefined) return new OcibundleError(fault, messageOf(error), { cause: error });
  if (networkErrors.has(code)) return new OcibundleError("network", messageOf(error));
  return undefined;
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

const safe = (text: string): string => escapeText(redact(text));

const red = 31;
const cyan = 36;

const deepest = 10;

function detailsOf(error: unknown): string {
  const lines: string[] = [];
  let current: unknown = error;
  for (let depth = 0; depth < deepest && current !== undefined && current !== null; depth += 1) {
    if (depth > 0) lines.push(`cause: ${nameOf(current)}${messageOf(current)}`);
    if (current instanceof Error) lines.push(...framesOf(current));
    current = current instanceof Error ? current.cause : undefined;
  }
  return lines.map(safe).join("\n");
}

const nameOf = (error: unknown): string =>
  error instanceof Error && !(error instanceof OcibundleError) ? `${error.name}: ` : "";

const framesOf = (error: Error): string[] =>
  (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
