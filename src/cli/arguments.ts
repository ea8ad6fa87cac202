import { OcibundleError, withContext } from "../errors.ts";
import { parseDuration } from "../ui/duration.ts";
import { parseSize } from "../ui/size.ts";
import { positionalName } from "./command.ts";
import type { ArgDefinition, ArgDefinitions, FlagDefinition } from "./command.ts";
import { familiarFlag } from "./familiar-flags.ts";
import { nearest } from "./nearest.ts";
import { flagsOf, tokenize } from "./tokens.ts";
import type { Flag, Token } from "./tokens.ts";
import { valueHint } from "./value-hint.ts";

/**
 * Reads a command's arguments strictly. `fallback` gives the value of a flag that was not typed (from the
 * environment). `usage` is the command as typed, for hints: `ocibundle push`. Throws `usage` for a flag that
 * does not exist (naming the nearest that does), a value of the wrong kind, and too many or too few positionals.
 */
export function parseArguments(
  words: readonly string[],
  definitions: ArgDefinitions,
  usage: string,
  fallback: (flag: Flag) => unknown = () => undefined,
): Record<string, unknown> {
  const flags = flagsOf(definitions);
  const given = new Map<string, unknown>();
  const positionals: string[] = [];
  for (const token of tokenize(words, flags)) {
    if (token.kind === "positional") positionals.push(token.value);
    else if (token.kind === "unknown") throw unknownFlag(token.typed, flags, usage);
    else given.set(token.flag.key, flagValue(token, given.get(token.flag.key)));
  }
  const values: Record<string, unknown> = assignPositionals(positionals, definitions, usage);
  for (const flag of flags.values()) {
    const value = given.get(flag.key) ?? fallback(flag) ?? defaultOf(flag.definition);
    if (value === undefined && isRequired(flag.definition)) {
      throw new OcibundleError("usage", `--${flag.name} is missing`, { hint: seeHelp(usage) });
    }
    values[flag.key] = value;
  }
  return values;
}

const isRequired = (definition: FlagDefinition): boolean =>
  definition.type !== "boolean" && definition.required === true;

function defaultOf(definition: FlagDefinition): unknown {
  if (definition.type === "boolean") return definition.default ?? false;
  return definition.default ?? (definition.multiple === true ? [] : undefined);
}

/** The hint of errors of the command line: which help to read. */
export const seeHelp = (usage: string): string => `run \`${usage} --help\` for usage`;

/** The error for a flag that does not exist. */
export function unknownFlag(
  typed: string,
  flags: ReadonlyMap<string, Flag>,
  usage: string,
): OcibundleError {
  const names = Array.from(flags.keys(), (name) => `--${name}`);
  const near = typed.startsWith("--") ? nearest(typed, names) : undefined;
  const meant = near === undefined ? seeHelp(usage) : `did you mean ${near}?`;
  const [, command] = /^\S+ (.+)$/.exec(usage) ?? [];
  return new OcibundleError("usage", `unknown flag "${typed}"`, {
    hint: familiarFlag(typed, { command, flags }) ?? meant,
  });
}

type FlagToken = Extract<Token, { kind: "flag" }>;

function flagValue({ flag, typed, negated, value }: FlagToken, before: unknown): unknown {
  const { definition } = flag;
  if (definition.type === "boolean") {
    if (value === undefined) return !negated;
    if (negated) {
      throw new OcibundleError("usage", `${typed} takes no value, but has "${value}"`, {
        hint: `remove ="${value}"`,
      });
    }
    return parseBoolean(value, typed);
  }
  if (value === undefined || value === "") {
    throw new OcibundleError("usage", `${typed} needs a value`, {
      hint: `use ${typed}${typed.startsWith("--") ? "=" : " "}${valueHint(flag)}`,
    });
  }
  const converted = convertValue(definition, value, typed);
  if (definition.multiple === true) {
    return [...(Array.isArray(before) ? (before as unknown[]) : []), converted];
  }
  if (before !== undefined && before !== converted) {
    throw new OcibundleError("usage", `--${flag.name} is specified twice with different values`, {
      hint: "specify it once",
    });
  }
  return converted;
}

const booleans: ReadonlyMap<string, boolean> = new Map([
  ...["1", "true", "yes", "on"].map((text) => [text, true] as const),
  ...["0", "false", "no", "off"].map((text) => [text, false] as const),
]);

/**
 * A boolean from a variable of the environment or `--flag=VALUE`. Throws `usage`; `label` is what it was
 * given as.
 */
export function parseBoolean(text: string, label: string): boolean {
  const value = booleans.get(text.toLowerCase());
  if (value === undefined) {
    throw new OcibundleError("usage", `${label}: "${text}" is not true or false`, {
      hint: "use true or false",
    });
  }
  return value;
}

/**
 * One value as its definition says. `label` is what it was given by: `--min-size`, `OCIBUNDLE_CONCURRENCY`, `SHELL`.
 */
export function convertValue(definition: ArgDefinition, text: string, label: string): unknown {
  try {
    checkSign(text, definition);
    if (definition.type === "number") return parseNumber(text, definition);
    if (definition.type === "size") {
      const size = parseSize(text);
      if (definition.needsUnit === true) checkUnit(text, size);
      return size;
    }
    if (definition.type === "duration") return parseDuration(text);
    if ("options" in definition && definition.options !== undefined) {
      return parseOption(text, definition.options);
    }
  } catch (error) {
    throw withContext(label, error);
  }
  return text;
}

/** Nobody types a large size in bytes without thinking of it; a small number is one of another unit. */
const typedInBytes = 1024 * 1024;

function checkUnit(text: string, size: number): void {
  if (size === 0 || size >= typedInBytes || !/^\s*[\d.]+\s*$/.test(text)) return;
  throw new OcibundleError("usage", `"${text}" has no unit and would be ${size} bytes`, {
    hint: `add a unit, such as ${text.trim()}GiB, or ${text.trim()}B for bytes`,
  });
}

/** Throws `usage` for a negative number where none can be meant. */
function checkSign(text: string, definition: ArgDefinition): void {
  const isOfBytesOrTime = definition.type === "size" || definition.type === "duration";
  const isCount = definition.type === "number" && (definition.min ?? 0) === 0;
  if (!/^-[\d.]/.test(text) || !(isOfBytesOrTime || isCount)) return;
  throw new OcibundleError("usage", `"${text}" must not be negative`, { hint: "remove the sign" });
}

function parseNumber(text: string, { min = 0, max }: { min?: number; max?: number }): number {
  const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  const largest = max ?? Number.MAX_SAFE_INTEGER;
  if (value >= min && value <= largest) return value;
  const range = max === undefined ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new OcibundleError("usage", `"${text}" is not a whole number ${range}`);
}

function parseOption(text: string, options: readonly string[]): string {
  if (options.includes(text)) return text;
  const near = nearest(text, options);
  throw new OcibundleError("usage", `"${text}" is not one of ${options.join(", ")}`, {
    hint: near === undefined ? undefined : `did you mean ${near}?`,
  });
}

function assignPositionals(
  words: readonly string[],
  definitions: ArgDefinitions,
  usage: string,
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  const left = [...words];
  if (left.includes("")) {
    throw new OcibundleError("usage", "an argument is empty", {
      hint: "check for unset shell variables",
    });
  }
  let most = 0;
  for (const [key, definition] of Object.entries(definitions)) {
    if (definition.type === "rest") {
      values[key] = left.splice(0);
      if (definition.required === true && words.length === most) throw missing(key, usage);
    } else if (definition.type === "positional") {
      most += 1;
      const word = left.shift();
      if (word === undefined && definition.required !== false) throw missing(key, usage);
      const label = positionalName(key);
      values[key] = word === undefined ? undefined : convertValue(definition, word, label);
    }
  }
  if (left[0] !== undefined) {
    throw new OcibundleError("usage", `unexpected argument "${left[0]}"`, {
      hint: most === 0 ? `${usage} takes no arguments` : seeHelp(usage),
    });
  }
  return values;
}

const missing = (key: string, usage: string): OcibundleError =>
  new OcibundleError("usage", `${positionalName(key)} is missing`, { hint: seeHelp(usage) });
