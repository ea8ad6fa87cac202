import { defaultText, flagLabel, isShared, usageOf } from "../../src/cli/help.ts";
import type { ArgumentHelp, FlagHelp, HelpDocument } from "../../src/report/help.ts";
import { slugOf } from "./collect.ts";

/** Guides that say more than the flags of a command do, by the first word of the command. */
const guides: Readonly<Record<string, readonly [title: string, page: string]>> = {
  lock: ["Pushing", "push.md"],
  build: ["Pushing", "push.md"],
  push: ["Pushing", "push.md"],
  pull: ["Pulling", "pull.md"],
  wait: ["Pulling", "pull.md"],
  verify: ["Verify, diff and copy", "copy.md"],
  diff: ["Verify, diff and copy", "copy.md"],
  copy: ["Verify, diff and copy", "copy.md"],
  ls: ["Registry housekeeping", "housekeeping.md"],
  tag: ["Registry housekeeping", "housekeeping.md"],
  rm: ["Registry housekeeping", "housekeeping.md"],
  prune: ["Registry housekeeping", "housekeeping.md"],
  attach: ["Registry housekeeping", "housekeeping.md"],
  referrers: ["Registry housekeeping", "housekeeping.md"],
  report: ["Registry housekeeping", "housekeeping.md"],
  cache: ["The cache", "cache.md"],
  doctor: ["Testing a registry", "doctor.md"],
  serve: ["Serving models to Hugging Face clients", "serve.md"],
  sign: ["Signatures", "signing.md"],
  "generate-key-pair": ["Signatures", "signing.md"],
  login: ["Registries and credentials", "registries.md"],
  logout: ["Registries and credentials", "registries.md"],
  "registry-start": ["The embedded registry", "dev/embedded-registry.md"],
  "registry-stop": ["The embedded registry", "dev/embedded-registry.md"],
  "registry-inspect": ["The embedded registry", "dev/embedded-registry.md"],
  "docker-push": ["The embedded registry", "dev/embedded-registry.md"],
  "mock-weights": ["The embedded registry", "dev/embedded-registry.md"],
};

/** The pages of the reference by their names: one for each command, and one that lists them. */
export function referencePages(
  all: readonly HelpDocument[],
  hidden: readonly HelpDocument[] = [],
): Map<string, string> {
  const [program, ...listed] = all;
  const commands = [...listed, ...hidden];
  const pages = new Map<string, string>();
  if (program === undefined) return pages;
  for (const [at, help] of commands.entries()) {
    const next = commands[at + 1];
    const link =
      next === undefined
        ? "Next: [Configuration](../configuration.md)"
        : `Next: [${next.command}](${slugOf(next)}.md)`;
    pages.set(`${slugOf(help)}.md`, `${commandPage(help)}\n${link}\n`);
  }
  pages.set("commands.md", programPage(program, listed, hidden));
  return pages;
}

const rowOf = (help: HelpDocument): string[] => [
  `[\`${help.command}\`](${slugOf(help)}.md)`,
  cell(help.description),
];

function programPage(
  program: HelpDocument,
  commands: readonly HelpDocument[],
  hidden: readonly HelpDocument[],
): string {
  const first = commands[0];
  return [
    "# Command reference",
    "",
    "These pages are generated from the definitions of the commands.",
    "",
    ...table(["command", "purpose"], commands.map(rowOf)),
    ...section("For tests and demonstrations", ["command", "purpose"], hidden.map(rowOf)),
    "## Flags of all commands",
    "",
    "Each has an [environment variable](../environment.md).",
    "",
    ...table(["flag", "meaning"], program.flags.map(flagRow)),
    ...(first === undefined ? [] : [`Next: [${first.command}](${slugOf(first)}.md)`, ""]),
  ].join("\n");
}

function commandPage(help: HelpDocument): string {
  const flags = help.flags.filter(({ name }) => !isShared(name));
  const guide = guides[help.command.split(" ")[1] ?? ""];
  return [
    `# ${help.command}`,
    "",
    `${help.description}.`,
    "",
    "```",
    usageOf(help, flags),
    "```",
    "",
    ...section(
      "Commands",
      ["command", "purpose"],
      help.commands.map(({ name, description }) => [
        `[\`${name}\`](${slugOf({ command: `${help.command} ${name}` })}.md)`,
        cell(description),
      ]),
    ),
    ...section("Arguments", ["argument", "meaning"], help.arguments.map(argumentRow)),
    ...section("Flags", ["flag", "meaning"], flags.map(flagRow)),
    "## Examples",
    "",
    "```sh",
    ...help.examples,
    "```",
    "",
    `See also: ${guide === undefined ? "" : `[${guide[0]}](../${guide[1]}), `}[flags of all commands](commands.md#flags-of-all-commands), [exit codes](../exit-codes.md), [JSON output](../json.md).`,
    "",
  ].join("\n");
}

const section = (title: string, head: string[], rows: string[][]): string[] =>
  rows.length === 0 ? [] : [`## ${title}`, "", ...table(head, rows)];

const table = (head: string[], rows: string[][]): string[] => [
  `| ${head.join(" | ")} |`,
  `|${head.map(() => "---|").join("")}`,
  ...rows.map((row) => `| ${row.join(" | ")} |`),
  "",
];

/** Text within a table, in which a word in angle brackets is no HTML. */
const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");

const argumentRow = ({ name, description, options, required, repeatable }: ArgumentHelp) => [
  `\`${name}${repeatable ? "..." : ""}\``,
  cell(
    description +
      (required ? "" : " (optional)") +
      (options === null ? "" : ` (one of ${options.join(", ")})`),
  ),
];

function flagRow(flag: FlagHelp): string[] {
  const { alias, description, repeatable, required } = flag;
  const initial = flag.value === null ? undefined : defaultText(flag);
  const notes = [
    ...(repeatable ? ["repeatable"] : []),
    ...(required ? ["required"] : []),
    ...(initial === undefined ? [] : [`default: ${initial}`]),
  ].map((note) => ` (${note})`);
  const label = `${alias === null ? "" : `${alias}, `}${flagLabel(flag)}`;
  return [`\`${label.replaceAll("|", "\\|")}\``, cell(description + notes.join(""))];
}
