import type { OcibundleError } from "../errors.ts";
import type { View } from "../ui/view.ts";
import type { CommandContext } from "./context.ts";

/** What `--help` and the completions say about a command. */
export interface CommandMeta {
  /** As typed: `push`, `registry-start`. */
  name: string;
  /** One sentence, sentence case, no final period. */
  description: string;
  /** A whole command line, or several, that work as they stand. */
  example: string | readonly string[];
  /** Not listed by `--help` and the completions. */
  hidden?: boolean;
  /**
   * How long it may take to end once it was told to, in milliseconds: a server finishes what it is sending.
   * Soon, unless said otherwise.
   */
  grace?: number;
}

interface Described {
  description: string;
  /** What help shows for the value: `REF`, `DIR`. */
  valueHint?: string;
}

interface FlagOptions<Value> extends Described {
  /** One letter: `alias: "o"` makes `-o`. */
  alias?: string;
  default?: Value;
  required?: boolean;
  /** May be given several times; the parsed value is a list in the order given, empty when not given. */
  multiple?: boolean;
}

/** One positional. `options` are the only values allowed. */
export interface PositionalDefinition extends Described {
  type: "positional";
  /** True unless said otherwise. Required ones come first. */
  required?: boolean;
  options?: readonly string[];
}

/** All positionals that are left; the last one declared. */
export interface RestDefinition extends Described {
  type: "rest";
  /** Whether at least one is needed. */
  required?: boolean;
}

/** `--name` and `--no-name`. False unless `default` says otherwise. */
export interface BooleanDefinition extends Described {
  type: "boolean";
  alias?: string;
  default?: boolean;
}

/** A flag with any text. */
export interface StringDefinition extends FlagOptions<string> {
  type: "string";
}

/** A whole number. */
export interface NumberDefinition extends FlagOptions<number> {
  type: "number";
  /** Zero unless said otherwise. */
  min?: number;
  max?: number;
}

/** A flag with one of some words. */
export interface EnumDefinition extends FlagOptions<string> {
  type: "enum";
  options: readonly string[];
}

/** Parsed to bytes: `25MiB`, `1.5gb`, `4096`; all units are 1024-based. */
export interface SizeDefinition extends FlagOptions<number> {
  type: "size";
  /** Whether a few bytes can't be meant: `--max-size 100` is refused, `100B` and `100GiB` are not. */
  needsUnit?: boolean;
}

/** Parsed to milliseconds. `30s`, `5m`, `1h30m`, `500ms`, `7d`. */
export interface DurationDefinition extends FlagOptions<number> {
  type: "duration";
}

/** A flag that takes a value. */
export type ValueFlagDefinition =
  | StringDefinition
  | NumberDefinition
  | EnumDefinition
  | SizeDefinition
  | DurationDefinition;
/** Any flag. */
export type FlagDefinition = BooleanDefinition | ValueFlagDefinition;
/** Any argument of a command. */
export type ArgDefinition = PositionalDefinition | RestDefinition | FlagDefinition;

/** Keys are camelCase: `minSize` is typed as `--min-size`, and shown as `MIN-SIZE` where it is a positional. */
export type ArgDefinitions = Readonly<Record<string, ArgDefinition>>;

type ValueOf<D> = D extends { type: "number" | "size" | "duration" }
  ? number
  : D extends { options: readonly (infer Option)[] }
    ? Option
    : string;

type ParsedArg<D> = D extends { type: "boolean" }
  ? boolean
  : D extends { type: "rest" }
    ? string[]
    : D extends { type: "positional" }
      ? D extends { required: false }
        ? ValueOf<D> | undefined
        : ValueOf<D>
      : D extends { multiple: true }
        ? ValueOf<D>[]
        : D extends { required: true } | { default: string | number }
          ? ValueOf<D>
          : ValueOf<D> | undefined;

/** What `run` gets: the values by the names of their definitions. */
export type ParsedArgs<Args extends ArgDefinitions> = {
  [Name in keyof Args]: ParsedArg<Args[Name]>;
};

/** How a report is printed to standard output. */
export interface ReportFormat<Report> {
  /** For people. Bytes are printed as they are, and a long text in pieces. */
  text(report: Report, view: View): string | Uint8Array | Iterable<string>;
  /** What `--json` prints. Unless given, the report itself. */
  json?(report: Report): object;
  /** What `--quiet` prints in place of the text, without the line end. Unless given, the text. */
  digest?(report: Report): string;
}

/** A command whose types of arguments and report are erased, as the table holds it. */
export interface Command extends ReportFormat<unknown> {
  meta: CommandMeta;
  args: ArgDefinitions;
  run(args: Record<string, unknown>, context: CommandContext): Promise<unknown>;
  failure?(report: unknown, args: Record<string, unknown>): OcibundleError | undefined;
}

/** A command that only has commands below it, as `cache`. */
export interface CommandGroup {
  meta: CommandMeta;
  commands: CommandTable;
}

/** A command, or a group of commands such as `cache`. */
export type AnyCommand = Command | CommandGroup;

/** Names and how to load them. Made by `commandTable`, so it has no prototype: `toString` is no command. */
export type CommandTable = Readonly<Record<string, () => Promise<AnyCommand>>>;

/**
 * Defines a command: its arguments, what it does with them once they were checked, and how its report is printed.
 *
 * `run` returns the report, throws an OcibundleError on failure, and ends soon after `context.signal` is aborted.
 * It returns undefined where nothing is left to print: a server prints its address before it serves
 * (`printReport`). `failure` decides, after the report was printed, whether the run failed nevertheless:
 * files differ, tags could not be deleted. Arguments have the types that the definitions say:
 *
 *     export const command = defineCommand({
 *       meta: { name: "pull", description: "…", example: "ocibundle pull …" },
 *       args: {
 *         ref: { type: "positional", description: "…" },
 *         output: { type: "string", alias: "o", valueHint: "DIR", default: ".", description: "…" },
 *         only: { type: "string", multiple: true, valueHint: "GLOB", description: "…" },
 *       },
 *       run: ({ ref, output, only }, context) => pullWeights(context, { ref, output, only }),
 *       text: pullReport,
 *       digest: ({ digest }) => digest,
 *     });
 */
export function defineCommand<const Args extends ArgDefinitions, Report>(
  definition: {
    meta: CommandMeta;
    args: Args;
    run(args: ParsedArgs<Args>, context: CommandContext): Promise<Report | undefined>;
    failure?(report: NoInfer<Report>, args: ParsedArgs<Args>): OcibundleError | undefined;
  } & ReportFormat<NoInfer<Report>>,
): Command {
  return definition as Command;
}

/** Defines a command that has commands below it. */
export function defineCommandGroup(definition: {
  meta: CommandMeta;
  commands: Record<string, () => Promise<AnyCommand>>;
}): CommandGroup {
  return { meta: definition.meta, commands: commandTable(definition.commands) };
}

/** A table in which only what was put there is found. */
export function commandTable(entries: Record<string, () => Promise<AnyCommand>>): CommandTable {
  return Object.assign(Object.create(null) as Record<string, never>, entries);
}

/** `minSize` → `min-size`. */
export const flagName = (key: string): string =>
  key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** `ref` → `REF`. */
export const positionalName = (key: string): string => flagName(key).toUpperCase();
