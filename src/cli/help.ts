import type { ArgumentHelp, FlagHelp, HelpDocument } from "../report/help.ts";
import { formatRemaining } from "../ui/duration.ts";
import { displayWidth, pad, wrap } from "../ui/text.ts";
import { sharedFlags } from "./shared-flags.ts";
import { flagName } from "./command.ts";

/** No line of help has more columns, so that it fits every terminal. */
const columns = 80;
const indent = "  ";
const gap = "  ";

/** A longer label, a flag with its value, gets a line of its own. */
const widestLabel = 26;

type Row = readonly [label: string, description: string];

/** Draws what `--help` prints. A command's own help leaves out the flags that all commands share. */
export function formatHelp(help: HelpDocument, { colors }: { colors: boolean }): string {
  const isProgram = help.command === "ocibundle";
  const flags = help.flags.filter(({ name }) => isProgram || !isShared(name));
  const paint = (code: keyof typeof styles, text: string): string =>
    colors ? `\u001B[${styles[code].join("m\u001B[")}m${text}\u001B[0m` : text;
  const heading = (text: string): string => paint("heading", text);
  const section = (title: string, rows: readonly Row[]): string[] =>
    rows.length === 0
      ? []
      : [heading(title), "", ...layOut(rows, (text) => paint("name", text)), ""];
  const more = [
    ...(help.commands.length > 0
      ? [`Run \`${help.command} COMMAND --help\` for its flags and examples.`]
      : []),
    ...(isProgram ? [] : ["Run `ocibundle --help` for the flags that all commands share."]),
  ];
  return [
    paint("description", help.description),
    "",
    `${heading("USAGE")} ${paint("name", usageOf(help, flags))}`,
    "",
    ...section("ARGUMENTS", help.arguments.map(argumentRow)),
    ...section(
      "COMMANDS",
      help.commands.map(({ name, description }) => [name, description]),
    ),
    ...section("OPTIONS", flags.map(flagRow)),
    heading("EXAMPLES"),
    "",
    ...help.examples.map((line) => indent + line),
    "",
    ...more,
    "",
  ].join("\n");
}

const styles = { description: [90], heading: [1, 4], name: [36] } as const;

const sharedNames: ReadonlySet<string> = new Set(
  [...Object.keys(sharedFlags), "help"].map((key) => `--${flagName(key)}`),
);
/** Whether every command has a flag: `--json`. */
export const isShared = (name: string): boolean => sharedNames.has(name);

/** `ocibundle pull [OPTIONS] <REF> [DIR]`. */
export function usageOf(help: HelpDocument, flags: readonly FlagHelp[]): string {
  const parts = help.arguments.map(({ name, required, repeatable }) => {
    const shown = repeatable ? `${name}...` : name;
    return required ? `<${shown}>` : `[${shown}]`;
  });
  return [
    help.command,
    ...(flags.length > 0 ? ["[OPTIONS]"] : []),
    ...flags.filter(({ required }) => required).map(flagLabel),
    ...parts,
    ...(help.commands.length > 0 ? ["COMMAND"] : []),
  ].join(" ");
}

const argumentRow = ({ name, description, options }: ArgumentHelp): Row => [
  name,
  options === null ? description : `${description} (one of ${options.join(", ")})`,
];

/** `--output=<DIR>`, `--[no-]cache`. */
export const flagLabel = ({ name, value, default: initial }: FlagHelp): string => {
  if (value !== null) return `${name}=<${value}>`;
  return initial === true ? name.replace("--", "--[no-]") : name;
};

function flagRow(flag: FlagHelp): Row {
  const { alias, description, repeatable, value } = flag;
  const initial = value === null ? undefined : defaultText(flag);
  const notes = [
    ...(repeatable ? ["repeatable"] : []),
    ...(flag.required ? ["required"] : []),
    ...(initial === undefined ? [] : [`default: ${initial}`]),
  ].map((note) => ` (${note})`);
  return [(alias === null ? "" : `${alias}, `) + flagLabel(flag), description + notes.join("")];
}

/** What a flag is unless given, as it is typed; undefined where that is nothing. */
export function defaultText({ type, default: value }: FlagHelp): string | undefined {
  if (value === null) return undefined;
  if (typeof value !== "number") return String(value);
  if (type === "duration") return formatRemaining(value);
  return type === "size" ? typedSize(value) : String(value);
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

/** A table: what is typed at the left, what it does beside it, broken between words. */
function layOut(rows: readonly Row[], paint: (label: string) => string): string[] {
  const widths = rows.map(([label]) => displayWidth(label)).filter((width) => width <= widestLabel);
  const left = Math.max(0, ...widths);
  const beside = columns - indent.length - left - gap.length;
  return rows.flatMap(([label, description]) => {
    const texts = wrap(description, beside);
    const isWide = displayWidth(label) > left;
    const first = isWide ? [indent + paint(label)] : [];
    return [
      ...first,
      ...texts.map((text, at) => {
        const named = at === 0 && !isWide;
        return (
          indent +
          (named ? paint(label) : "") +
          pad("", left - (named ? displayWidth(label) : 0)) +
          gap +
          text
        );
      }),
    ];
  });
}
