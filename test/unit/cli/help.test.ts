import { expect, test } from "bun:test";
import { stripVTControlCharacters } from "node:util";
import { formatHelp } from "../../../src/cli/help.ts";
import type { FlagHelp, HelpDocument } from "../../../src/report/help.ts";

const flag = (name: string, more: Partial<FlagHelp> = {}): FlagHelp => ({
  name,
  description: "First",
  alias: null,
  type: "boolean",
  value: null,
  required: false,
  repeatable: false,
  options: null,
  default: null,
  ...more,
});
const help = (more: Partial<HelpDocument>): HelpDocument => ({
  command: "ocibundle do",
  description: "Do it",
  examples: ["ocibundle do x"],
  arguments: [],
  flags: [],
  commands: [],
  ...more,
});
const linesOf = (more: Partial<HelpDocument>, title: string, colors = false): string[] => {
  const lines = formatHelp(help(more), { colors }).split("\n");
  const start = lines.findIndex((line) => stripVTControlCharacters(line) === title) + 2;
  return lines.slice(start, lines.indexOf("", start));
};

test("names stand at the left, and descriptions are broken between words", () => {
  const flags = [
    flag("--dir", {
      alias: "-d",
      value: "DIR",
      type: "string",
      repeatable: true,
      description: "The directory, of which a good deal can be said before the line ends",
    }),
    flag("--cache", { default: true }),
    flag("--size", { type: "size", value: "SIZE", default: 32 * 1024 ** 2, required: true }),
    flag("--wait", { type: "duration", value: "TIME", default: 90_000 }),
    flag("--how", { value: "one|two|three|four|five", type: "enum" }),
  ];
  expect(linesOf({ flags }, "OPTIONS")).toEqual([
    "  -d, --dir=<DIR>  The directory, of which a good deal can be said before the",
    "                   line ends (repeatable)",
    "  --[no-]cache     First",
    "  --size=<SIZE>    First (required) (default: 32MiB)",
    "  --wait=<TIME>    First (default: 1m30s)",
    "  --how=<one|two|three|four|five>",
    "                   First",
  ]);
  expect(formatHelp(help({ flags }), { colors: false })).toContain(
    "USAGE ocibundle do [OPTIONS] --size=<SIZE>\n",
  );
});

test("flags of every command are in the program's help alone", () => {
  const flags = [flag("--json"), flag("--own")];
  expect(linesOf({ flags }, "OPTIONS")).toEqual(["  --own  First"]);
  expect(linesOf({ command: "ocibundle", flags }, "OPTIONS")).toEqual([
    "  --json  First",
    "  --own   First",
  ]);
});

test("colours take no columns", () => {
  const flags = [flag("--a"), flag("--bc")];
  expect(linesOf({ flags }, "OPTIONS", true)).toEqual([
    "  \u001B[36m--a\u001B[0m   First",
    "  \u001B[36m--bc\u001B[0m  First",
  ]);
});

test("a word that is wider than a line stays whole", () => {
  const word = "x".repeat(90);
  const commands = [{ name: "do", description: `a ${word} b` }];
  expect(linesOf({ commands }, "COMMANDS")).toEqual(["  do  a", `      ${word}`, "      b"]);
});
