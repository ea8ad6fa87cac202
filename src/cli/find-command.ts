import { OcibundleError } from "../errors.ts";
import { seeHelp, unknownFlag } from "./arguments.ts";
import type { AnyCommand, ArgDefinitions, CommandTable } from "./command.ts";
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
  version: { type: "boolean", description: "Show version and commit" },
} as const;

/** Flags of the program itself, for its help. */
export const programFlags = { ...sharedFlags, ...helpFlag, ...versionFlag };

/**
 * Finds the command in a command line, where shared flags may stand before it. Loads only the commands on
 * the way. Throws `usage` for a name that does not exist, naming the nearest that does.
 */
export async function findCommand(
  words: readonly string[],
  table: CommandTable,
): Promise<Invocation> {
  return find(words, { command: undefined, table, path: ["ocibundle"] });
}

interface Level {
  command: AnyCommand | undefined;
  table: CommandTable;
  path: readonly string[];
}

async function find(
  words: readonly string[],
  { command, table, path }: Level,
): Promise<Invocation> {
  const definitions = command === undefined ? programFlags : { ...sharedFlags, ...helpFlag };
  const flags = flagsOf(definitions);
  const usage = path.join(" ");
  let help = false;
  let version = false;
  for (const token of tokenize(words, flags)) {
    if (token.kind === "unknown") throw unknownFlag(token.typed, flags, usage);
    if (token.kind === "flag") {
      help ||= token.flag.key === "help";
      version ||= token.flag.key === "version";
      continue;
    }
    const load = table[token.value];
    if (load === undefined) throw unknownCommand(token.value, table, usage);
    const found = await load();
    const left = [...words.slice(0, token.index), ...words.slice(token.index + 1)];
    const below = [...path, token.value];
    if ("commands" in found) {
      return find(left, { command: found, table: found.commands, path: below });
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
    throw new OcibundleError("usage", `a command of \`${usage}\` is missing`, {
      hint: `one of ${names}`,
    });
  }
  return { command, path, words, help, version };
}

const asksForHelp = (words: readonly string[], definitions: ArgDefinitions): boolean =>
  tokenize(words, flagsOf({ ...sharedFlags, ...definitions, ...helpFlag })).some(
    (token) => token.kind === "flag" && token.flag.key === "help",
  );

function unknownCommand(typed: string, table: CommandTable, usage: string): OcibundleError {
  const near = nearest(typed, Object.keys(table));
  return new OcibundleError("usage", `unknown command "${typed}"`, {
    hint: near === undefined ? seeHelp(usage) : `did you mean \`${usage} ${near}\`?`,
  });
}
