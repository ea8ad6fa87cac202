import { convertValue, parseBoolean } from "./arguments.ts";
import type { FlagDefinition } from "./command.ts";
import type { SharedFlags } from "./context.ts";
import type { Flag } from "./tokens.ts";

/** What every command takes (see SharedFlags). */
export const sharedFlags = {
  quiet: {
    type: "boolean",
    alias: "q",
    description: "Show no progress, and of a result its digest only",
  },
  verbose: {
    type: "boolean",
    alias: "v",
    description: "Say what is being done and why, and where an error came from",
  },
  json: { type: "boolean", description: "Print the result as one JSON document" },
  progress: {
    type: "enum",
    options: ["auto", "bar", "plain", "json", "none"],
    default: "auto",
    description: "How progress is shown on standard error",
  },
  concurrency: {
    type: "number",
    min: 1,
    valueHint: "N",
    description: "How many transfers at once",
  },
  plainHttp: { type: "boolean", description: "Talk http to the registry" },
  insecure: { type: "boolean", description: "Do not check the registry's certificate" },
  caFile: {
    type: "string",
    valueHint: "FILE",
    description: "Certificates to trust besides the system's",
  },
  certFile: { type: "string", valueHint: "FILE", description: "Certificate to show the registry" },
  keyFile: { type: "string", valueHint: "FILE", description: "Key of that certificate" },
  config: {
    type: "string",
    valueHint: "FILE",
    description: "Configuration file: mirrors and settings of registries",
  },
} as const satisfies Record<keyof SharedFlags, FlagDefinition>;

/** `--help` is known to every command, and asked before anything else is checked. */
export const helpFlag = {
  help: { type: "boolean", alias: "h", description: "Show how a command is used" },
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
