import { renderUsage } from "citty";
import type { ArgDef, CommandDef } from "citty";
import { formatRemaining } from "../ui/duration.ts";
import { valueHint } from "./arguments.ts";
import { flagName } from "./command.ts";
import type { AnyCommand, ArgDefinition, ArgDefinitions, CommandTable } from "./command.ts";
import { layOutHelp } from "./help-layout.ts";
import { programFlags } from "./find-command.ts";

export const programDescription = "Move model weights through any OCI registry";
export const programExamples = [
  "ocibundle lock ./weights --dest /src/weights",
  "ocibundle push registry.example.com/acme/llama:v1 --image llama:dev --weights ./weights",
  "ocibundle pull registry.example.com/acme/llama:v1 -o /models",
];

/** What `ocibundle --help` shows: the commands that are not hidden, and the flags that all of them take. */
export async function programHelp(table: CommandTable): Promise<string> {
  const subCommands = await listed(table);
  const usage = await renderUsage({
    meta: { name: "ocibundle", description: programDescription },
    args: argsForHelp(programFlags),
    subCommands,
  });
  return tidy(`${layOutHelp(usage)}\n\n${examples(programExamples)}`);
}

/** What `ocibundle NAME --help` shows. `path` are the names typed, the program's first. */
export async function commandHelp(command: AnyCommand, path: readonly string[]): Promise<string> {
  const parent: CommandDef = { meta: { name: path.slice(0, -1).join(" ") } };
  const usage = await renderUsage(await cittyCommand(command), parent);
  const more = "Run `ocibundle --help` for the flags of every command.";
  return tidy(`${layOutHelp(usage)}\n\n${examples(command.meta.example)}\n${more}\n`);
}

/** No spaces at line ends, no two empty lines in a row. */
const tidy = (text: string): string =>
  text.replaceAll(/[ \t]+$/gm, "").replaceAll(/\n{3,}/g, "\n\n");

async function cittyCommand(command: AnyCommand): Promise<CommandDef> {
  const { name } = command.meta;
  const meta = { name, description: command.meta.description };
  return "commands" in command
    ? { meta, subCommands: await listed(command.commands) }
    : { meta, args: argsForHelp(command.args) };
}

async function listed(table: CommandTable): Promise<Record<string, CommandDef>> {
  const commands = await Promise.all(
    Object.entries(table).map(async ([name, load]) => [name, (await load()).meta] as const),
  );
  return Object.fromEntries(
    commands
      .filter(([, meta]) => meta.hidden !== true)
      .map(([name, meta]) => [name, { meta: { name, description: meta.description } }]),
  );
}

const examples = (lines: string | readonly string[]): string =>
  ["EXAMPLES", "", ...[lines].flat().map((line) => `  ${line}`), ""].join("\n");

const argsForHelp = (definitions: ArgDefinitions): Record<string, ArgDef> =>
  Object.fromEntries(
    Object.entries(definitions).map(([key, definition]) => argForHelp(key, definition)),
  );

function argForHelp(key: string, definition: ArgDefinition): [string, ArgDef] {
  const name = flagName(key);
  if (definition.type === "positional" || definition.type === "rest") {
    const { options } = { options: undefined, ...definition };
    return [
      definition.type === "rest" ? `${name}...` : name,
      {
        type: "positional",
        description: definition.description,
        required: definition.required ?? definition.type === "positional",
        ...(options === undefined ? {} : { valueHint: options.join("|") }),
      },
    ];
  }
  const alias = definition.alias === undefined ? {} : { alias: definition.alias };
  if (definition.type === "boolean") {
    const { description: text, default: value } = definition;
    return [
      name,
      { type: "boolean", description: text, ...alias, ...(value ? { default: true } : {}) },
    ];
  }
  const initial = defaultText(definition);
  return [
    name,
    {
      type: "string",
      description: definition.description + (definition.multiple === true ? " (repeatable)" : ""),
      valueHint: valueHint({ key, name, definition }),
      ...alias,
      ...(initial === undefined ? {} : { default: initial }),
      ...(definition.required === true ? { required: true } : {}),
    },
  ];
}

function defaultText(definition: ArgDefinition): string | undefined {
  if (!("default" in definition) || definition.default === undefined) return undefined;
  const value = definition.default;
  if (typeof value !== "number") return String(value);
  if (definition.type === "duration") return formatRemaining(value);
  return definition.type === "size" ? typedSize(value) : String(value);
}

/** As it is typed and printed: `25MiB`. */
function typedSize(bytes: number): string {
  const units = ["", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  while (units.length > 1 && value >= 1024 && value % 1024 === 0) {
    value /= 1024;
    units.shift();
  }
  return `${value}${units[0]}`;
}
