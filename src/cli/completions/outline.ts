import { valueHint } from "../value-hint.ts";
import { flagName, positionalName } from "../command.ts";
import type { AnyCommand, ArgDefinition, ArgDefinitions, CommandTable } from "../command.ts";
import { programFlags } from "../find-command.ts";
import { helpFlag, sharedFlags } from "../shared-flags.ts";

/** What may follow a flag or stand for a positional: one of some words, a path, or nothing that can be known. */
export type Values = { options: readonly string[] } | "file" | "directory" | "unknown";

/** What a completion script knows of a flag. */
export interface FlagOutline {
  name: string;
  alias: string | undefined;
  description: string;
  /** Undefined where it takes none. */
  values: Values | undefined;
  repeatable: boolean;
}

/** What a completion script knows of a positional argument. */
export interface PositionalOutline {
  name: string;
  values: Values;
  repeatable: boolean;
}

/** A command as a shell must know it. */
export interface CommandOutline {
  /** The names typed after the program's: none for the program itself, two for `cache ls`. */
  path: readonly string[];
  description: string;
  flags: readonly FlagOutline[];
  positionals: readonly PositionalOutline[];
  /** Names of the commands below it. */
  below: readonly { name: string; description: string }[];
}

/** The program and all its commands that are not hidden, each before those below it. */
export async function outlineCommands(table: CommandTable): Promise<CommandOutline[]> {
  const program = { path: [], description: "", flags: flagsOf(programFlags), positionals: [] };
  return withBelow(program, table);
}

async function withBelow(
  outline: Omit<CommandOutline, "below">,
  table: CommandTable,
): Promise<CommandOutline[]> {
  const loaded = await Promise.all(
    Object.entries(table).map(async ([name, load]) => ({ name, command: await load() })),
  );
  const visible = loaded.filter(({ command }) => command.meta.hidden !== true);
  const below = visible.map(({ name, command: { meta } }) => ({
    name,
    description: meta.description,
  }));
  const outlines = await Promise.all(
    visible.map(({ name, command }) => outlineCommand([...outline.path, name], command)),
  );
  return [{ ...outline, below }, ...outlines.flat()];
}

async function outlineCommand(path: string[], command: AnyCommand): Promise<CommandOutline[]> {
  const { description } = command.meta;
  if ("commands" in command) {
    const flags = flagsOf({ ...sharedFlags, ...helpFlag });
    return withBelow({ path, description, flags, positionals: [] }, command.commands);
  }
  return [
    {
      path,
      description,
      flags: flagsOf({ ...command.args, ...sharedFlags, ...helpFlag }),
      positionals: positionalsOf(command.args),
      below: [],
    },
  ];
}

function flagsOf(definitions: ArgDefinitions): FlagOutline[] {
  return Object.entries(definitions).flatMap(([key, definition]) => {
    if (definition.type === "positional" || definition.type === "rest") return [];
    const name = flagName(key);
    const hint = valueHint({ key, name, definition });
    return [
      {
        name,
        alias: definition.alias,
        description: definition.description,
        values: definition.type === "boolean" ? undefined : valuesOf(definition, hint),
        repeatable: definition.type !== "boolean" && definition.multiple === true,
      },
    ];
  });
}

function positionalsOf(definitions: ArgDefinitions): PositionalOutline[] {
  return Object.entries(definitions).flatMap(([key, definition]) => {
    if (definition.type !== "positional" && definition.type !== "rest") return [];
    const name = positionalName(key);
    const values = valuesOf(definition, definition.valueHint ?? name);
    return [{ name, values, repeatable: definition.type === "rest" }];
  });
}

/** What a value is follows from what help calls it. */
function valuesOf(definition: ArgDefinition, hint: string): Values {
  if ("options" in definition && definition.options !== undefined) {
    return { options: definition.options };
  }
  if (/^[\w-]+(\|[\w-]+)+$/.test(hint)) return { options: hint.split("|") };
  if (/\bDIR$/.test(hint)) return "directory";
  return /\b(FILE|PATHS?|SRC|SOURCE|LAYOUT)$/.test(hint) ? "file" : "unknown";
}

/** Flags that take a value in every command that has them: the word after them is never a command. */
export function valueFlags(outlines: readonly CommandOutline[]): string[] {
  const all = outlines.flatMap(({ flags }) => flags);
  const typed = (wanted: boolean): Set<string> =>
    new Set(
      all
        .filter(({ values }) => (values !== undefined) === wanted)
        .flatMap(({ name, alias }) =>
          alias === undefined ? [`--${name}`] : [`--${name}`, `-${alias}`],
        ),
    );
  const without = typed(false);
  return [...typed(true)].filter((flag) => !without.has(flag));
}
