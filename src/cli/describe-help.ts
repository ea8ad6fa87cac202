import type { ArgumentHelp, FlagHelp, HelpDocument } from "../report/help.ts";
import { valueHint } from "./value-hint.ts";
import { flagName, positionalName } from "./command.ts";
import type { AnyCommand, ArgDefinition, ArgDefinitions, CommandTable } from "./command.ts";
import { programFlags } from "./find-command.ts";
import { helpFlag, sharedFlags } from "./shared-flags.ts";

const programDescription = "Move model weights through any OCI registry";
const programExamples = [
  "ocibundle lock ./weights --dest /src/weights",
  "ocibundle push registry.example.com/acme/llama:v1 --image llama:dev --weights ./weights",
  "ocibundle pull registry.example.com/acme/llama:v1 -o /models",
];

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
  const name = flagName(key);
  return [
    {
      name: `--${name}`,
      alias: alias === null ? null : `-${alias}`,
      type,
      value: isBoolean ? null : valueHint({ key, name, definition }),
      description,
      required: !isBoolean && definition.required === true,
      repeatable: !isBoolean && definition.multiple === true,
      options: type === "enum" ? definition.options : null,
      default: definition.default ?? (isBoolean ? false : null),
    },
  ];
}
