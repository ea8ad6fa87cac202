import { parseArgs } from "node:util";
import { flagName } from "./command.ts";
import type { ArgDefinitions, FlagDefinition } from "./command.ts";

/** A flag that a command or everyone takes. */
export interface Flag {
  key: string;
  /** As typed, without dashes: `min-size`. */
  name: string;
  definition: FlagDefinition;
}

/** One thing of a command line. `index` is where in the list of words it stands. */
export type Token =
  | { kind: "positional"; index: number; value: string }
  | { kind: "flag"; index: number; flag: Flag; typed: string; negated: boolean; value?: string }
  | { kind: "unknown"; index: number; typed: string };

/** The flags of a set of definitions, by their names. */
export function flagsOf(definitions: ArgDefinitions): Map<string, Flag> {
  const flags = new Map<string, Flag>();
  for (const [key, definition] of Object.entries(definitions)) {
    if (definition.type === "positional" || definition.type === "rest") continue;
    const name = flagName(key);
    flags.set(name, { key, name, definition });
  }
  return flags;
}

/**
 * Takes a command line apart by the flags that are known, with node:util's grammar: `--name value`,
 * `--name=value`, `-n value`, `-nvalue`, `-qv`, and `--` before positionals that start with a dash; and
 * `--no-name`, `-n=value`. What is not known is handed back as such, never dropped.
 */
export function tokenize(words: readonly string[], flags: ReadonlyMap<string, Flag>): Token[] {
  const options = Object.fromEntries(
    Array.from(flags.values(), ({ name, definition }) => [
      name,
      {
        type: definition.type === "boolean" ? ("boolean" as const) : ("string" as const),
        ...(definition.alias === undefined ? {} : { short: definition.alias }),
      },
    ]),
  );
  const { tokens } = parseArgs({
    args: [...words],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const result: Token[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") {
      result.push({ kind: "positional", index: token.index, value: token.value });
    } else if (token.kind === "option") {
      const { index, rawName: typed } = token;
      const negated = !flags.has(token.name) && typed.startsWith("--no-");
      const flag = flags.get(negated ? token.name.slice("no-".length) : token.name);
      if (flag === undefined || (negated && flag.definition.type !== "boolean")) {
        result.push({ kind: "unknown", index, typed });
      } else {
        const value = typed.startsWith("--") ? token.value : token.value?.replace(/^=/, "");
        const given = value === undefined ? {} : { value };
        const detached = token.value !== undefined && !token.inlineValue;
        // A word with a dash is the next flag, not this one's value; `--name=-x` says otherwise.
        const isNextFlag = detached && /^-./.test(token.value);
        result.push({ kind: "flag", index, flag, typed, negated, ...(isNextFlag ? {} : given) });
      }
    }
  }
  return result;
}
