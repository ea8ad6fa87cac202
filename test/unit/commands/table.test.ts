import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { AnyCommand, ArgDefinition } from "../../../src/cli/command.ts";
import { commands } from "../../../src/commands/table.ts";
import { programFlags } from "../../../src/cli/find-command.ts";
import { flagsOf } from "../../../src/cli/tokens.ts";
import { runWith } from "../../support/cli/run-with.ts";

const sources = join(import.meta.dir, "../../../src");
/** Files beside the commands that are none themselves. */
const notCommands = new Set([
  "delete-args",
  "key-password",
  "model-args",
  "password-input",
  "signer-args",
  "table",
]);
const namesIn = (path: string): string[] =>
  readdirSync(path)
    .filter((name) => name.endsWith(".ts"))
    .map((name) => name.slice(0, -".ts".length))
    .filter((name) => !notCommands.has(name));
const shown = namesIn(join(sources, "commands"));
const hidden = namesIn(join(sources, "harness/commands"));

describe("the command table", () => {
  test("has every file of commands/ and of harness/commands/, and nothing else", () => {
    expect(Object.keys(commands).toSorted()).toEqual([...shown, ...hidden].toSorted());
  });

  test("has no name that nobody put there", () => {
    expect(commands["toString"]).toBeUndefined();
    expect(commands["constructor"]).toBeUndefined();
  });
});

/** A command, and those below it. */
async function* everyCommand(
  table: typeof commands,
  path: string[] = [],
): AsyncGenerator<{ path: string[]; command: AnyCommand }> {
  for (const [name, load] of Object.entries(table)) {
    const command = await load();
    yield { path: [...path, name], command };
    if ("commands" in command) yield* everyCommand(command.commands, [...path, name]);
  }
}

describe("every command", () => {
  test("has the name of its file, and is hidden where it is of the harness", async () => {
    for (const [name, load] of Object.entries(commands)) {
      const { meta } = await load();
      expect(meta.name).toBe(name);
      expect(meta.hidden ?? false).toBe(hidden.includes(name));
    }
  });

  test("shows in its help what it does, with an example of itself and every flag", async () => {
    for await (const { path, command } of everyCommand(commands)) {
      const { code, stdout, stderr } = await runWith(commands, [...path, "--help"]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toStartWith(command.meta.description);
      expect(stdout).toContain(`USAGE ocibundle ${path.join(" ")}`);
      expect([command.meta.example].flat().join("\n")).toContain(`ocibundle ${path.join(" ")}`);
      expect(stdout).toContain([command.meta.example].flat()[0] ?? "");
      if ("commands" in command) continue;
      for (const name of flagsOf(command.args).keys())
        expect(stdout).toMatch(new RegExp(`--(?:\\[no-\\])?${name}\\b`));
    }
  });

  test("fits its help into 80 columns, and leaves no word of it out", async () => {
    const typed = /^(?:USAGE| {2}ocibundle| {2}-\S+(?:, \S+)?$)/;
    for await (const { path, command } of everyCommand(commands)) {
      const { stdout } = await runWith(commands, [...path, "--help"]);
      const lines = stdout.split("\n").filter((line) => !typed.test(line));
      expect(lines.filter((line) => line.length > 80)).toEqual([]);
      const words = stdout.replaceAll(/\s+/g, " ");
      const args: ArgDefinition[] = "commands" in command ? [] : Object.values(command.args);
      for (const { description } of args) expect(words).toContain(description);
    }
  });

  test("describes itself and its arguments in sentence case without a final period", async () => {
    for await (const { command } of everyCommand(commands)) {
      const args: ArgDefinition[] = "commands" in command ? [] : Object.values(command.args);
      for (const { description } of [command.meta, ...args]) {
        expect(description).toMatch(/^[A-Z].*[^.]$/);
      }
    }
  });

  test("takes no flag's name or letter away from another", async () => {
    for await (const { path, command } of everyCommand(commands)) {
      if ("commands" in command) continue;
      const own = Array.from(flagsOf(command.args).values());
      const shared = Array.from(flagsOf(programFlags).values());
      const letters = [...own, ...shared].flatMap(({ definition: { alias } }) => alias ?? []);
      const names = [...own, ...shared].map(({ name }) => name);
      expect({ path, repeated: repeated([...letters, ...names]) }).toEqual({ path, repeated: [] });
    }
  });
});

const repeated = (names: string[]): string[] =>
  names.filter((name, index) => names.indexOf(name) !== index);

describe("the program's help", () => {
  test("lists what is for users, and nothing that is hidden", async () => {
    const { stdout } = await runWith(commands, ["--help"]);
    for (const name of shown) expect(stdout).toMatch(new RegExp(`^\\s+${name}\\s`, "m"));
    for (const name of hidden) expect(stdout).not.toContain(name);
  });
});
