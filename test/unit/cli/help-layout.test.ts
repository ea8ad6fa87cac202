import { expect, test } from "bun:test";
import { layOutHelp } from "../../../src/cli/help-layout.ts";

test("names stand at the left, and what they do is broken between words", () => {
  const usage = [
    "OPTIONS",
    "",
    "       --dir=<DIR>    The folder, of which a good deal can be said before it is told what becomes of it",
    "           --cache    (Default: true)",
    "        --no-cache    ",
    "  --how=<one|two|three|four|five>    In which way",
    "",
    "Use it    as it is",
  ].join("\n");
  expect(layOutHelp(usage).split("\n")).toEqual([
    "OPTIONS",
    "",
    "  --dir=<DIR>  The folder, of which a good deal can be said before it is told",
    "               what becomes of it",
    "  --cache      (Default: true)",
    "  --no-cache",
    "  --how=<one|two|three|four|five>",
    "               In which way",
    "",
    "Use it    as it is",
  ]);
});

test("colours take no columns", () => {
  const usage =
    "OPTIONS\n\n  \u001B[36m--a\u001B[39m    First\n  \u001B[36m--bc\u001B[39m    Second\n";
  expect(layOutHelp(usage)).toBe(
    "OPTIONS\n\n  \u001B[36m--a\u001B[39m   First\n  \u001B[36m--bc\u001B[39m  Second\n",
  );
});

test("a word that is wider than a line stays whole", () => {
  const word = "x".repeat(90);
  expect(layOutHelp(`COMMANDS\n\n  do    a ${word} b\n`)).toBe(
    `COMMANDS\n\n  do  a\n      ${word}\n      b\n`,
  );
});
