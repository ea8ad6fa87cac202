import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bashCompletions } from "../../../src/cli/completions/bash.ts";
import { fishCompletions } from "../../../src/cli/completions/fish.ts";
import { outlineCommands } from "../../../src/cli/completions/outline.ts";
import { powershellCompletions } from "../../../src/cli/completions/powershell.ts";
import { zshCompletions } from "../../../src/cli/completions/zsh.ts";
import { defineCommand, defineCommandGroup } from "../../../src/cli/command.ts";
import { tableOf } from "../../support/cli/run-with.ts";

const run = async (): Promise<undefined> => undefined;
const noText = (): string => "";
const meta = (name: string, description: string, hidden = false) => ({
  name,
  description,
  example: "",
  hidden,
});
const table = tableOf(
  defineCommand({
    meta: meta("push", "Push it: the registry's [tag]"),
    args: {
      ref: { type: "positional", description: "" },
      image: { type: "string", valueHint: "SRC", description: "What's [in] it: all" },
      weights: { type: "string", valueHint: "DIR", alias: "w", multiple: true, description: "" },
      format: { type: "enum", options: ["standalone", "bundle"], description: "" },
    },
    run,
    text: noText,
  }),
  defineCommand({
    meta: meta("completions", "Complete"),
    args: { shell: { type: "positional", options: ["bash", "zsh"], description: "" } },
    run,
    text: noText,
  }),
  defineCommand({
    meta: meta("show", "Show a place"),
    args: { src: { type: "positional", description: "" } },
    run,
    text: noText,
  }),
  defineCommand({
    meta: meta("each", "Take paths"),
    args: { path: { type: "rest", description: "" } },
    run,
    text: noText,
  }),
  defineCommandGroup({
    meta: meta("cache", "The store"),
    commands: {
      path: async () => defineCommand({ meta: meta("path", "Where"), args: {}, run, text: noText }),
      prune: async () =>
        defineCommand({
          meta: meta("prune", "Less"),
          args: { maxSize: { type: "size", description: "" } },
          run,
          text: noText,
        }),
    },
  }),
  defineCommand({ meta: meta("secret", "Hidden", true), args: {}, run, text: noText }),
);

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "ocibundle-completions-"));
  await mkdir(join(directory, "a folder"));
  await writeFile(join(directory, "a file"), "");
  const outlines = await outlineCommands(table);
  await writeFile(join(directory, "bash"), bashCompletions(outlines));
  await writeFile(join(directory, "_ocibundle"), zshCompletions(outlines));
  await writeFile(join(directory, "fish"), fishCompletions(outlines));
});
afterAll(() => rm(directory, { recursive: true }));

/** What is typed, and what is offered for its last word; at least that, where the shell adds of its own. */
const cases: [string, string[]][] = [
  ["", ["push", "completions", "show", "each", "cache"]],
  ["pu", ["push"]],
  ["-q ca", ["cache"]],
  ["--config push ca", ["cache"]],
  ["cache ", ["path", "prune"]],
  ["cache -v pr", ["prune"]],
  ["cache prune --max", ["--max-size"]],
  ["completions ", ["bash", "zsh"]],
  ["completions z", ["zsh"]],
  ["push --form", ["--format"]],
  ["push --format ", ["standalone", "bundle"]],
  ["push --progress pl", ["plain"]],
  ["--progress js", ["json"]],
  ["push r --ima", ["--image"]],
  ["push --image x --wei", ["--weights"]],
];

async function output(command: string[], env: Record<string, string> = {}): Promise<string> {
  const shell = Bun.spawn(command, {
    cwd: directory,
    env: { PATH: process.env["PATH"] ?? "", HOME: directory, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 20_000,
  });
  const [text, errors] = await Promise.all([
    new Response(shell.stdout).text(),
    new Response(shell.stderr).text(),
  ]);
  expect(errors).toBe("");
  return text;
}

const words = (text: string): string[] => text.split("\n").filter((line) => line !== "");

const completeInBash = async (typed: string): Promise<string[]> => {
  const script = `source ./bash
COMP_LINE="ocibundle $1"
COMP_WORDS=(ocibundle $1)
[[ $1 == "" || $1 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
_ocibundle 2>/dev/null
printf '%s\\n' "\${COMPREPLY[@]}"`;
  return words(await output(["bash", "--norc", "-c", script, "bash", typed]));
};

/** Whether bash goes on to offer file names of its own. */
const offersFiles = async (typed: string): Promise<boolean> => {
  const script = `source ./bash
compopt() { printf 'compopt %s\\n' "$*"; }
COMP_WORDS=(ocibundle $1); [[ $1 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _ocibundle`;
  const said = await output(["bash", "--norc", "-c", script, "bash", typed]);
  return !said.includes("compopt +o default +o bashdefault");
};

describe("bash", () => {
  const complete = completeInBash;

  test.each(cases)("ocibundle %s", async (typed, offered) => {
    expect((await complete(typed)).toSorted()).toEqual(offered.toSorted());
  });

  test("a value after = is completed as bash parts it", async () => {
    expect(await complete("push --format = bun")).toEqual(["bundle"]);
    expect((await complete("push --format =")).toSorted()).toEqual(["bundle", "standalone"]);
  });

  test("what is hidden is not offered, and files are left to bash", async () => {
    expect(await complete("se")).toEqual([]);
    expect(await complete("push --image ")).toEqual([]);
  });

  // bash takes what is before and behind a colon for words of their own.
  test.each([
    ["push ", false],
    ["push a", false],
    ["push host/acme :", false],
    ["push host/acme : v1", false],
    ["push host/acme : v1 ", false],
    ["push --image oci :", true],
    ["push --image oci : lay", true],
    ["push --image docker-archive : im", true],
    ["show ", true],
    ["show --config c a", true],
    ["show a b", false],
    ["each a b", true],
    ["each a : b c", true],
  ])("file names are offered where a path may stand: %s", async (typed, offered) => {
    expect(await offersFiles(typed)).toBe(offered);
  });
});

const completeInFish = async (typed: string): Promise<string[]> => {
  const script = `source ./fish; complete -C "ocibundle ${typed}"`;
  const lines = words(await output(["fish", "--no-config", "-c", script]));
  return lines.map((line) => line.split("\t")[0] ?? "");
};

describe.skipIf(Bun.which("fish") === null)("fish", () => {
  const complete = completeInFish;

  test.each(cases)("ocibundle %s", async (typed, offered) => {
    expect((await complete(typed)).toSorted()).toEqual(offered.toSorted());
  });

  test("paths are offered where a path is meant, and only there", async () => {
    expect(await complete("push --image a")).toEqual(["a file", "a folder/"]);
    expect(await complete("push -w a")).toEqual(["a folder/"]);
    expect(await complete("push a")).toEqual([]);
    expect(await complete("se")).toEqual([]);
  });
});

describe.skipIf(Bun.which("zsh") === null)("zsh", () => {
  const end = "<END>";
  let shell: Bun.Subprocess;
  let seen = "";
  let wake: (() => void) | undefined;

  /** Everything the shell showed up to the mark. */
  const until = async (mark: string): Promise<string> => {
    while (!seen.includes(mark)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const [before = "", ...after] = seen.split(mark);
    seen = after.join(mark);
    return before;
  };

  // Completion only works in an interactive zsh: it lists what it would offer, and says where the list ends.
  beforeAll(async () => {
    shell = Bun.spawn(["zsh", "-f", "-i"], {
      cwd: directory,
      env: { PATH: process.env["PATH"] ?? "", HOME: directory, TERM: "xterm" },
      terminal: {
        cols: 200,
        rows: 200,
        data(_, bytes) {
          seen += new TextDecoder().decode(bytes);
          wake?.();
        },
      },
    });
    const setup = `PS1= PROMPT_EOL_MARK= LISTMAX=10000; stty -echo; autoload -Uz compinit; compinit -u -D
zmodload zsh/complist; zstyle ':completion:*:default' list-colors 'no=<WORD>' 'fi=<WORD>' 'di=<WORD>' 'lc=' 'rc=' 'ec=</>'
list() { zle list-choices; zle -R; print "<E""ND>"; BUFFER= }; zle -N list; bindkey '^T' list
source ./_ocibundle; print "REA""DY"
`;
    shell.terminal?.write(setup);
    await until("READY");
  }, 20_000);
  afterAll(() => {
    shell.kill("SIGKILL");
    shell.terminal?.close();
  });

  const complete = async (typed: string): Promise<string[]> => {
    shell.terminal?.write(`ocibundle ${typed}\u0014`);
    const shown = await until(end);
    const offered = [...shown.matchAll(/<WORD>(.+?)(?= {2}|<\/>)/g)].map(([, word = ""]) => word);
    return offered.map((word) => word.replaceAll("\\", ""));
  };

  test.each(cases)("ocibundle %s", async (typed, offered) => {
    expect((await complete(typed)).toSorted()).toEqual(offered.toSorted());
  });

  test("paths are offered where a path is meant, and only there", async () => {
    expect((await complete("push --image a")).toSorted()).toEqual(["a file", "a folder"]);
    expect(await complete("push -w a")).toEqual(["a folder"]);
    expect(await complete("push a")).toEqual([]);
    expect(await complete("se")).toEqual([]);
  });

  test("a value after = is completed", async () => {
    expect(await complete("push --format=bun")).toEqual(["bundle"]);
  });
});

/** PowerShell itself is not to be had here: that the script is what its parser expects is checked by hand. */
test("PowerShell gets each command once, with names in quotes", async () => {
  const script = powershellCompletions(await outlineCommands(table));
  expect(script).toContain("'push' = @(@('--image', 'What''s [in] it: all'), ");
  expect(script).toContain("'push --format' = @(@('standalone', ''), @('bundle', ''))");
  expect(script).not.toContain("secret");
  // Keys of a hash table differ in more than case.
  const keys = [...script.matchAll(/^ {8}('[^']*') = @/gm)].map(([, key = ""]) =>
    key.toLowerCase(),
  );
  expect(new Set(keys).size).toBe(keys.length);
});
