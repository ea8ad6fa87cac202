import { OcibundleError } from "../errors.ts";
import type { Progress } from "../ui/progress-output.ts";
import type { ProgressMode } from "../ui/progress.ts";
import { parseArguments, seeHelp } from "./arguments.ts";
import type { Command, CommandTable } from "./command.ts";
import type { CommandContext, SharedFlags } from "./context.ts";
import { findCommand } from "./find-command.ts";
import type { Invocation } from "./find-command.ts";
import type { Output } from "./output.ts";
import { json, printReport } from "./print-report.ts";
import { redact } from "./redact.ts";
import { asksForJson, fromEnvironment, sharedFlags } from "./shared-flags.ts";

/** What a run needs of the process. */
export interface ProgramIo {
  stdout: Output;
  stderr: Output;
  /** Opened when a command reads it. */
  stdin(): ReadableStream<Uint8Array>;
  env: Readonly<Record<string, string | undefined>>;
  /** Absolute. */
  cwd: string;
  /** Aborted with an OcibundleError (`interrupted`, `terminated`, `hangup`) as its reason. */
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
  let usage = "ocibundle";
  // Until the flags are read, the words say what the reader wants.
  const forms = {
    verbose: argv.includes("-v") || argv.includes("--verbose"),
    jsonResult: asksForJson(argv, io.env),
    jsonProgress: false,
    colors: !io.env["NO_COLOR"],
  };
  const results = createResults(io.stdout);
  try {
    io.signal.throwIfAborted();
    const invocation = await findCommand(argv, commands);
    usage = invocation.path.join(" ");
    const { command } = invocation;
    if (invocation.version) {
      const { formatVersion, programVersion } = await import("./version.ts");
      const version = programVersion();
      results.write(forms.jsonResult ? json(version) : `${formatVersion(version)}\n`);
      results.check();
      return 0;
    }
    if (command === undefined || invocation.help || "commands" in command) {
      const code = await showHelp(invocation, io, commands, results, forms.jsonResult);
      results.check();
      return code;
    }
    const { flags, args } = readFlags(invocation, command, io);
    forms.verbose = flags.verbose;
    forms.jsonResult = flags.json;
    const mode = progressMode(flags, io);
    forms.jsonProgress = mode === "json";
    const { createProgress } = await import("../ui/progress.ts");
    progress = createProgress(mode, {
      write: (text) => {
        io.stderr.write(redact(text));
      },
      size: () => io.stderr.size(),
      colors: io.stderr.isTerminal && !io.env["NO_COLOR"],
      verbose: flags.verbose,
    });
    const ended = { code: 0 };
    const context = contextOf(io, flags, progress, results, ended);
    const report = await withinGrace(command.run(args, context), io.signal, command.meta.grace);
    if (report !== undefined) {
      printReport(command, report, context);
      const failure = command.failure?.(report, args);
      if (failure !== undefined) throw failure;
    }
    progress.close();
    results.check();
    return ended.code;
  } catch (error) {
    progress?.close();
    const { describeError } = await import("./error-report.ts");
    const report = describeError(io.signal.aborted ? io.signal.reason : error, seeHelp(usage));
    forms.jsonResult &&= !results.wasWritten;
    const { tellFailure } = await import("./run-failure.ts");
    tellFailure(report, forms, io);
    const { writeTerminationMessage } = await import("./termination-log.ts");
    const warning = writeTerminationMessage(report, io.env);
    if (warning !== undefined && !forms.jsonProgress) io.stderr.write(`warning: ${warning}\n`);
    return report.exitCode;
  }
}

/** What goes to standard output. */
interface Results {
  /** Never throws: a result that can't be written must not hide what became of the work. */
  write(content: string | Uint8Array): void;
  readonly wasWritten: boolean;
  /** Throws what the first write failed with. */
  check(): void;
}

function createResults(stdout: Output): Results {
  const failures: unknown[] = [];
  let wasWritten = false;
  return {
    write(content) {
      wasWritten = true;
      try {
        stdout.write(content);
      } catch (error) {
        failures.push(error);
      }
    },
    get wasWritten() {
      return wasWritten;
    },
    check() {
      if (failures.length > 0) throw failures[0];
    },
  };
}

async function showHelp(
  invocation: Invocation,
  io: ProgramIo,
  commands: CommandTable,
  results: Results,
  asJson: boolean,
): Promise<number> {
  const { command, path, help } = invocation;
  const [{ describeHelp }, { formatHelp }] = await Promise.all([
    import("./describe-help.ts"),
    import("./help.ts"),
  ]);
  const document = await describeHelp(command, path, commands);
  if (help && asJson) {
    results.write(json(document));
    return 0;
  }
  // Asked for, it is a result; without a command, it stands for the error.
  const output = help ? io.stdout : io.stderr;
  const shown = formatHelp(document, { colors: output.isTerminal && !io.env["NO_COLOR"] });
  if (help) {
    results.write(shown);
    return 0;
  }
  if (asJson) {
    throw new OcibundleError("usage", "a command is missing", { hint: seeHelp("ocibundle") });
  }
  io.stderr.write(shown);
  return 2;
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
  // Without TERM nothing is known of the terminal: a line that is drawn over may be one more line there.
  // Windows has no TERM, and terminals that can.
  const term = io.env["TERM"] ?? "";
  const knowsTerminal = term === "" ? io.env["OS"] === "Windows_NT" : term !== "dumb";
  const draws = io.stderr.isTerminal && !io.env["CI"] && knowsTerminal;
  return draws ? "bar" : "plain";
}

function contextOf(
  io: ProgramIo,
  flags: SharedFlags,
  progress: Progress,
  results: Results,
  ended: { code: number },
): CommandContext {
  return {
    stdout: (content) => {
      progress.settle();
      results.write(content);
    },
    stderr: (text) => {
      progress.print(text);
    },
    stdin: () => io.stdin(),
    endWith: (code) => {
      ended.code = code;
    },
    env: io.env,
    cwd: io.cwd,
    signal: io.signal,
    emit: progress.emit,
    flags,
    columns: io.stdout.isTerminal ? io.stdout.size().columns : undefined,
  };
}

/** The command's end, or the abort's reason when the command does not end soon after it. */
async function withinGrace<T>(
  work: Promise<T>,
  signal: AbortSignal,
  grace = graceAfterAbort,
): Promise<T> {
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
      }, grace);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([work, overdue]);
  } finally {
    clearTimeout(timer);
    if (onAbort !== undefined) signal.removeEventListener("abort", onAbort);
  }
}
