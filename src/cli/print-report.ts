import { runtime } from "../runtime/current.ts";
import type { ReportFormat } from "./command.ts";
import type { CommandContext } from "./context.ts";

/** A JSON document as it is printed. */
export const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Lists are printed item by item up to this level: a file among files has a list of tensors. */
const levels = 4;

/** The same in pieces: a list can have hundreds of thousands of items. */
export function* jsonPieces(value: unknown): Generator<string, void, undefined> {
  yield* piecesOf(value, "\n", levels);
  yield "\n";
}

function* piecesOf(value: unknown, line: string, depth: number): Generator<string> {
  if (depth === 0 || typeof value !== "object" || value === null || "toJSON" in value) {
    yield (JSON.stringify(value, null, 2) ?? "null").replaceAll("\n", line);
    return;
  }
  const isList = Array.isArray(value);
  const [open, close] = isList ? "[]" : "{}";
  const inner = `${line}  `;
  let before = `${open}${inner}`;
  for (const [key, member] of isList ? value.entries() : Object.entries(value)) {
    if (!isList && member === undefined) continue;
    yield isList ? before : `${before}${JSON.stringify(key)}: `;
    yield* piecesOf(member, inner, depth - 1);
    before = `,${inner}`;
  }
  yield before.startsWith(",") ? `${line}${close}` : `${open}${close}`;
}

/** So much text is written at once, in characters. */
const pieceLength = 64 * 1024;
/** After so much text memory is cleared, in characters: the pieces of a long text are several times as much. */
const textLength = 4 * 1024 * 1024;

function writeAll(pieces: Iterable<string>, write: (text: string) => void): void {
  let text = "";
  let written = 0;
  for (const piece of pieces) {
    text += piece;
    if (text.length < pieceLength) continue;
    write(text);
    written += text.length;
    text = "";
    if (written < textLength) continue;
    runtime.collectGarbage();
    written = 0;
  }
  write(text);
}

/**
 * Prints a report as `--json`, `--quiet` or people want it. The report that a command returns is printed by
 * `run`; a command that prints before it ends, as a server does, calls this itself.
 */
export function printReport<Report>(
  format: ReportFormat<Report>,
  report: Report,
  { columns, flags, stdout }: Pick<CommandContext, "columns" | "flags" | "stdout">,
): void {
  if (flags.json) {
    writeAll(jsonPieces(format.json?.(report) ?? report), stdout);
  } else if (flags.quiet && format.digest !== undefined) stdout(`${format.digest(report)}\n`);
  else {
    const text = format.text(report, { columns, verbose: flags.verbose });
    if (typeof text === "string" || text instanceof Uint8Array) stdout(text);
    else writeAll(text, stdout);
  }
}
