import { OcibundleError } from "../errors.ts";
import { seeHelp, unknownFlag } from "./arguments.ts";
import type { AnyCommand, ArgDefinitions, CommandTable } from "./command.ts";
import { familiarCommand } from "./familiar-flags.ts";
import { nearest } from "./nearest.ts";
import { helpFlag, sharedFlags } from "./shared-flags.ts";
import { flagsOf, tokenize } from "./tokens.ts";

/** Which command a command line means. */
export interface Invocation {
  /** Undefined when no command was named. */
  command: AnyCommand | undefined;
  /** The names typed, the program's first: `["ocibundle", "cache", "ls"]`. */
  path: readonly string[];
  /** The command line without those names. */
  words: readonly string[];
  help: boolean;
  version: boolean;
}

const versionFlag = {
  version: { type: "boolean", description: "Show the version and commit" },
} as const;

/** Flags of the program itself, for its help. */
export const programFlags = { ...sharedFlags, ...helpFlag, ...versionFlag };

/**
 * Finds the command in a command line, where shared flags may stand before it. The word `help` in the place of a
 * command is as good as the flag. Loads only the commands on the way. Throws `usage` for a name that does not exist,
 * naming the nearest that does.
 */
export async function findCommand(
  words: readonly string[],
  table: CommandTable,
): Promise<Invocation> {
  return find(words, { command: undefined, table, path: ["ocibundle"], isHelpAsked: false });
}

interface Level {
  command: AnyCommand | undefined;
  table: CommandTable;
  path: readonly string[];
  /** Whether the word `help` stood before. */
  isHelpAsked: boolean;
}

async function find(
  words: readonly string[],
  { command, table, path, isHelpAsked }: Level,
): Promise<Invocation> {
  const definitions = command === undefined ? programFlags : { ...sharedFlags, ...helpFlag };
  const flags = flagsOf(definitions);
  const usage = path.join(" ");
  let help = isHelpAsked;
  let version = false;
  for (const token of tokenize(words, flags)) {
    if (token.kind === "unknown") throw unknownFlag(token.typed, flags, usage);
    if (token.kind === "flag") {
      help ||= token.flag.key === "help";
      version ||= token.flag.key === "version";
      continue;
    }
    const left = [...words.slice(0, token.index), ...words.slice(token.index + 1)];
    const load = table[token.value];
    if (load === undefined) {
      if (token.value === "help") return find(left, { command, table, path, isHelpAsked: true });
      throw unknownCommand(token.value, table, usage);
    }
    const found = await load();
    const below = [...path, token.value];
    if ("commands" in found) {
      return find(left, { command: found, table: found.commands, path: below, isHelpAsked: help });
    }
    return {
      command: found,
      path: below,
      words: left,
      help: help || asksForHelp(left, found.args),
      version,
    };
  }
  if (command !== undefined && !help) {
    const names = Object.keys(table).join(", ");
    throw new OcibundleError("usage", `\`${usage}\` needs a command`, {
      hint: `one of ${names}`,
    });
  }
  return { command, path, words, help, version };
}

const asksForHelp = (words: readonly string[], definitions: ArgDefinitions): boolean =>
  tokenize(words, flagsOf({ ...sharedFlags, ...definitions, ...helpFlag })).some(
    (token) => token.kind === "flag" && token.flag.key === "help",
  );

/** More commands than this are for `--help` to list. */
const fewCommands = 6;

function unknownCommand(typed: string, table: CommandTable, usage: string): OcibundleError {
  const names = Object.keys(table);
  const near = nearest(typed, names);
  const other = names.length > fewCommands ? seeHelp(usage) : `one of ${names.join(", ")}`;
  const isProgram = usage === "ocibundle";
  const known = isProgram ? familiarCommand(typed) : undefined;
  return new OcibundleError("usage", `unknown command "${typed}"`, {
    hint: known ?? (near === undefined ? other : `did you mean \`${usage} ${near}\`?`),
  });
}
