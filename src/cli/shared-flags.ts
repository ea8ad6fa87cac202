import { convertValue, parseBoolean } from "./arguments.ts";
import type { FlagDefinition } from "./command.ts";
import type { SharedFlags } from "./context.ts";
import type { Flag } from "./tokens.ts";

/** What every command takes (see SharedFlags). */
export const sharedFlags = {
  quiet: {
    type: "boolean",
    alias: "q",
    description: "Print only the digest of the result, without progress",
  },
  verbose: {
    type: "boolean",
    alias: "v",
    description: "Log each step and its reason; show stack traces",
  },
  json: { type: "boolean", description: "Print the result as one JSON document" },
  progress: {
    type: "enum",
    options: ["auto", "bar", "plain", "json", "none"],
    default: "auto",
    description: "Set how progress is shown on standard error",
  },
  concurrency: {
    type: "number",
    min: 1,
    valueHint: "N",
    description: "Set the number of concurrent transfers",
  },
  plainHttp: { type: "boolean", description: "Use plain HTTP instead of HTTPS" },
  insecure: { type: "boolean", description: "Skip verification of the registry's certificate" },
  caFile: {
    type: "string",
    valueHint: "FILE",
    description: "Also trust the CA certificates in this file",
  },
  certFile: { type: "string", valueHint: "FILE", description: "Use this client certificate" },
  keyFile: {
    type: "string",
    valueHint: "FILE",
    description: "Use this key for the client certificate",
  },
  config: {
    type: "string",
    valueHint: "FILE",
    description: "Use this configuration file",
  },
} as const satisfies Record<keyof SharedFlags, FlagDefinition>;

/** `--help` is known to every command, and asked before anything else is checked. */
export const helpFlag = {
  help: { type: "boolean", alias: "h", description: "Show help" },
} as const satisfies Record<string, FlagDefinition>;

/** `plain-http` → `OCIBUNDLE_PLAIN_HTTP`. */
const variableName = (flag: string): string =>
  `OCIBUNDLE_${flag.toUpperCase().replaceAll("-", "_")}`;

/** A shared flag's value from its variable, or undefined where that is unset or empty. Throws `usage`. */
export function fromEnvironment(
  { key, name, definition }: Flag,
  env: Readonly<Record<string, string | undefined>>,
): unknown {
  if (!Object.hasOwn(sharedFlags, key)) return undefined;
  const variable = variableName(name);
  const text = env[variable];
  if (text === undefined || text === "") return undefined;
  return definition.type === "boolean"
    ? parseBoolean(text, variable)
    : convertValue(definition, text, variable);
}

/** Whether a command line that was not read, or can't be, asks for JSON on standard output. */
export function asksForJson(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  const end = argv.indexOf("--");
  const words = end === -1 ? argv : argv.slice(0, end);
  const last = words.findLast((word) => /^--(?:no-)?json(?:=|$)/.test(word));
  if (last === "--no-json") return false;
  const text = last === undefined ? env["OCIBUNDLE_JSON"] : last.split("=", 2)[1];
  if (last !== undefined && text === undefined) return true;
  try {
    return text !== undefined && text !== "" && parseBoolean(text, "--json");
  } catch {
    return false;
  }
}
