import { flagName, positionalName } from "./command.ts";
import type { AnyCommand, ArgDefinition, ArgDefinitions, CommandTable } from "./command.ts";
import { programFlags } from "./find-command.ts";
import { programDescription, programExamples } from "./help.ts";
import { helpFlag, sharedFlags } from "./shared-flags.ts";

/** What `--help --json` prints (docs/json.md). */
export interface HelpDocument {
  /** As typed: `ocibundle cache ls`. */
  command: string;
  description: string;
  examples: string[];
  /** In their order. */
  arguments: ArgumentHelp[];
  flags: FlagHelp[];
  /** Those below it. Hidden ones are left out. */
  commands: { name: string; description: string }[];
}

interface ArgumentHelp {
  name: string;
  description: string;
  required: boolean;
  repeatable: boolean;
  options: readonly string[] | null;
}

interface FlagHelp extends ArgumentHelp {
  /** One letter, or null. */
  alias: string | null;
  type: Exclude<ArgDefinition["type"], "positional" | "rest">;
  /** Sizes in bytes, durations in milliseconds; null where there is none. */
  default: string | number | boolean | null;
}

/** Describes a command, or the program where it is undefined. `path` are the names typed, the program's first. */
export async function describeHelp(
  command: AnyCommand | undefined,
  path: readonly string[],
  table: CommandTable,
): Promise<HelpDocument> {
  const below = command === undefined ? table : "commands" in command ? command.commands : {};
  const definitions: ArgDefinitions =
    command === undefined
      ? programFlags
      : { ...("args" in command ? command.args : {}), ...sharedFlags, ...helpFlag };
  const loaded = await Promise.all(
    Object.entries(below).map(async ([name, load]) => ({ name, meta: (await load()).meta })),
  );
  return {
    command: path.join(" "),
    description: command?.meta.description ?? programDescription,
    examples: command === undefined ? [...programExamples] : [command.meta.example].flat(),
    arguments: Object.entries(definitions).flatMap(([key, definition]) =>
      argumentHelp(key, definition),
    ),
    flags: Object.entries(definitions).flatMap(([key, definition]) => flagHelp(key, definition)),
    commands: loaded
      .filter(({ meta }) => meta.hidden !== true)
      .map(({ name, meta }) => ({ name, description: meta.description })),
  };
}

function argumentHelp(key: string, definition: ArgDefinition): ArgumentHelp[] {
  const { type, description } = definition;
  if (type !== "positional" && type !== "rest") return [];
  const required = definition.required ?? type === "positional";
  const options = type === "positional" ? (definition.options ?? null) : null;
  return [
    { name: positionalName(key), description, required, repeatable: type === "rest", options },
  ];
}

function flagHelp(key: string, definition: ArgDefinition): FlagHelp[] {
  if (definition.type === "positional" || definition.type === "rest") return [];
  const { type, description, alias = null } = definition;
  const isBoolean = type === "boolean";
  return [
    {
      name: `--${flagName(key)}`,
      alias: alias === null ? null : `-${alias}`,
      type,
      description,
      required: !isBoolean && definition.required === true,
      repeatable: !isBoolean && definition.multiple === true,
      options: type === "enum" ? definition.options : null,
      default: definition.default ?? (isBoolean ? false : null),
    },
  ];
}
