import { OcibundleError } from "../errors.ts";
import type { Progress } from "../ui/progress-output.ts";
import type { ProgressMode } from "../ui/progress.ts";
import { parseArguments } from "./arguments.ts";
import type { Command, CommandTable } from "./command.ts";
import type { CommandContext, SharedFlags } from "./context.ts";
import { findCommand } from "./find-command.ts";
import type { Invocation } from "./find-command.ts";
import type { Output } from "./output.ts";
import { redact } from "./redact.ts";
import { fromEnvironment, sharedFlags } from "./shared-flags.ts";

/** What a run needs of the process. */
export interface ProgramIo {
  stdout: Output;
  stderr: Output;
  /** Opened when a command reads it. */
  stdin(): ReadableStream<Uint8Array>;
  env: Readonly<Record<string, string | undefined>>;
  /** Absolute. */
  cwd: string;
  /** Aborted with an OcibundleError (`interrupted`, `terminated`) as its reason. */
  signal: AbortSignal;
}

/** How long a command may take to end once it was told to, in milliseconds. */
const graceAfterAbort = 700;

/** Runs one command line (without the program's name) and resolves to its exit code. Never throws. */
export async function run(
  argv: readonly string[],
  io: ProgramIo,
  commands: CommandTable,
): Promise<number> {
  let progress: Progress | undefined;
  // Until the flags are read, the words say whether the reader wants to know more.
  let verbose = argv.includes("-v") || argv.includes("--verbose");
  let json = false;
  try {
    const invocation = await findCommand(argv, commands);
    const { command } = invocation;
    if (invocation.version) {
      const { programVersion } = await import("./version.ts");
      io.stdout.write(`${programVersion()}\n`);
      return 0;
    }
    if (command === undefined || invocation.help || "commands" in command) {
      return await showHelp(invocation, io, commands);
    }
    const { flags, args } = readFlags(invocation, command, io);
    verbose = flags.verbose;
    const mode = progressMode(flags, io);
    json = mode === "json";
    const { createProgress } = await import("../ui/progress.ts");
    progress = createProgress(mode, {
      write: (text) => {
        io.stderr.write(redact(text));
      },
      size: () => io.stderr.size(),
      colors: io.stderr.isTerminal && !io.env["NO_COLOR"],
      verbose,
    });
    await withinGrace(command.run(args, contextOf(io, flags, progress)), io.signal);
    progress.close();
    return 0;
  } catch (error) {
    progress?.close();
    const { describeError, formatReport } = await import("./error-report.ts");
    const report = describeError(io.signal.aborted ? io.signal.reason : error);
    if (json) {
      const { code, exitCode, message, hint } = report;
      io.stderr.write(`${JSON.stringify({ type: "error", code, exitCode, message, hint })}\n`);
    } else {
      io.stderr.write(formatReport(report, verbose));
    }
    return report.exitCode;
  }
}

async function showHelp(
  { command, path, help }: Invocation,
  io: ProgramIo,
  commands: CommandTable,
): Promise<number> {
  const [{ commandHelp, programHelp }, { stripVTControlCharacters }] = await Promise.all([
    import("./help.ts"),
    import("node:util"),
  ]);
  const text =
    command === undefined ? await programHelp(commands) : await commandHelp(command, path);
  // Asked for, it is a result; without a command, it stands for the error.
  const output = help ? io.stdout : io.stderr;
  const colors = output.isTerminal && !io.env["NO_COLOR"];
  output.write(colors ? text : stripVTControlCharacters(text));
  return help ? 0 : 2;
}

function readFlags(
  { path, words }: Invocation,
  command: Command,
  io: ProgramIo,
): { flags: SharedFlags; args: Record<string, unknown> } {
  const definitions = { ...command.args, ...sharedFlags };
  const values = parseArguments(words, definitions, path.join(" "), (flag) =>
    fromEnvironment(flag, io.env),
  );
  const pick = (names: object): Record<string, unknown> =>
    Object.fromEntries(Object.keys(names).map((key) => [key, values[key]]));
  return { flags: pick(sharedFlags) as unknown as SharedFlags, args: pick(command.args) };
}

function progressMode(flags: SharedFlags, io: ProgramIo): ProgressMode {
  if (flags.quiet) return "none";
  if (flags.progress !== "auto") return flags.progress;
  const draws = io.stderr.isTerminal && !io.env["CI"] && io.env["TERM"] !== "dumb";
  return draws ? "bar" : "plain";
}

function contextOf(io: ProgramIo, flags: SharedFlags, progress: Progress): CommandContext {
  return {
    stdout: (content) => {
      if (io.stdout.isTerminal) progress.settle();
      io.stdout.write(content);
    },
    stderr: (text) => {
      progress.print(text);
    },
    get stdin() {
      return io.stdin();
    },
    env: io.env,
    cwd: io.cwd,
    signal: io.signal,
    emit: progress.emit,
    flags,
  };
}

/** The command's end, or the abort's reason when the command does not end soon after it. */
async function withinGrace(work: Promise<void>, signal: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let onAbort: (() => void) | undefined;
  const overdue = new Promise<never>((_, reject) => {
    onAbort = () => {
      timer = setTimeout(() => {
        reject(
          signal.reason instanceof Error
            ? signal.reason
            : new OcibundleError("interrupted", "interrupted"),
        );
      }, graceAfterAbort);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    await Promise.race([work, overdue]);
  } finally {
    clearTimeout(timer);
    if (onAbort !== undefined) signal.removeEventListener("abort", onAbort);
  }
}
