import { defaultText, flagLabel, isShared, usageOf } from "../../src/cli/help.ts";
import type { FlagHelp, HelpDocument } from "../../src/report/help.ts";
import { slugOf } from "./collect.ts";

/** `ocibundle.1`, `ocibundle-cache-ls.1`. */
export const manPageName = (help: HelpDocument): string => `${titleOf(help)}.1`;

const titleOf = (help: HelpDocument): string =>
  help.command === "ocibundle" ? "ocibundle" : `ocibundle-${slugOf(help)}`;

/**
 * A manual page in the macros of man(7), which groff and mandoc read. `date` is written as YYYY-MM-DD.
 */
export function manPage(
  help: HelpDocument,
  { version, date }: { version: string; date: Date },
): string {
  const title = titleOf(help);
  const isProgram = title === "ocibundle";
  const flags = help.flags.filter(({ name }) => isProgram || !isShared(name));
  const related = isProgram
    ? help.commands.map(({ name }) => `ocibundle-${name}`)
    : ["ocibundle", ...help.commands.map(({ name }) => `${title}-${name}`)];
  return [
    `.TH ${title.toUpperCase().replaceAll("-", "\\-")} 1 ${date.toISOString().slice(0, 10)} "ocibundle ${version}" "User Commands"`,
    ".SH NAME",
    `${roff(title)} \\- ${roff(help.description)}`,
    ".SH SYNOPSIS",
    `.B ${roff(usageOf(help, flags))}`,
    ...items(
      "COMMANDS",
      help.commands.map(({ name, description }) => [name, description]),
    ),
    ...items(
      "ARGUMENTS",
      help.arguments.map(({ name, description, options }) => [
        name,
        options === null ? description : `${description} (one of ${options.join(", ")})`,
      ]),
    ),
    ...items("OPTIONS", flags.map(flagItem)),
    ...(isProgram
      ? []
      : [".PP", "The flags that all commands share are described in", ".BR ocibundle (1)."]),
    ".SH EXAMPLES",
    ...help.examples.flatMap((line) => [".PP", ".EX", roff(line), ".EE"]),
    ".SH EXIT STATUS",
    "0 if all that was asked for was done.",
    "Any other status says what kind of failure ended the command.",
    ".SH SEE ALSO",
    ...related.map((name, at) => `.BR ${roff(name)} (1)${at === related.length - 1 ? "" : " ,"}`),
    "",
  ].join("\n");
}

function flagItem(flag: FlagHelp): [string, string] {
  const { alias, description, repeatable, required, options } = flag;
  const initial = flag.value === null ? undefined : defaultText(flag);
  const notes = [
    ...(options === null ? [] : [`one of ${options.join(", ")}`]),
    ...(repeatable ? ["repeatable"] : []),
    ...(required ? ["required"] : []),
    ...(initial === undefined ? [] : [`default: ${initial}`]),
  ].map((note) => ` (${note})`);
  return [`${alias === null ? "" : `${alias}, `}${flagLabel(flag)}`, description + notes.join("")];
}

const items = (title: string, rows: readonly (readonly [string, string])[]): string[] =>
  rows.length === 0
    ? []
    : [
        `.SH ${title}`,
        ...rows.flatMap(([label, text]) => [".TP", `.B ${roff(label)}`, roff(text)]),
      ];

/** Text of one line: no escape of roff, a dash that can be copied, nothing that is taken for a request. */
function roff(text: string): string {
  const escaped = text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll("`", "\\(ga")
    .replaceAll("~", "\\(ti")
    .replaceAll("^", "\\(ha")
    .replaceAll('"', "\\(dq");
  return escaped.startsWith(".") ? `\\&${escaped}` : escaped;
}
