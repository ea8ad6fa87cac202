import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { findCommand, programFlags } from "../src/cli/find-command.ts";
import { flagsOf } from "../src/cli/tokens.ts";
import { commands } from "../src/commands/table.ts";
import { collectHelp, collectHidden } from "../scripts/reference/collect.ts";
import { referencePages } from "../scripts/reference/markdown.ts";
import { exitCodes } from "../src/errors.ts";

const root = join(import.meta.dir, "..");
const pages = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "CHANGELOG.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" }).map(
    (name) => `docs/${name}`,
  ),
].filter((path) => path.endsWith(".md"));
const readme = readFileSync(join(root, "README.md"), "utf8");

/** `# How it's built (now)` is linked to as `#how-its-built-now`. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");

/** Relative links of a page that lead nowhere: to no file, or to no heading of one. */
function brokenLinks(page: string): string[] {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link = ""]) => link)
    .filter((link) => !/^[a-z]+:/.test(link))
    .filter((link) => {
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? join(root, page) : join(root, dirname(page), path);
      if (!existsSync(target)) return true;
      if (anchor === undefined) return false;
      const headings = readFileSync(target, "utf8").matchAll(/^#+ (.+)$/gm);
      return ![...headings].some(([, heading = ""]) => anchorOf(heading) === anchor);
    });
}

/** The pages that a reader gets to from a page, by links to files of the documentation. */
function reachable(from: string, seen = new Set<string>()): Set<string> {
  if (seen.has(from)) return seen;
  seen.add(from);
  for (const [, link = ""] of readFileSync(join(root, from), "utf8").matchAll(/\]\(([^)\s]+)\)/g)) {
    const page = join(dirname(from), link.split("#")[0] ?? "");
    if (pages.includes(page)) reachable(page, seen);
  }
  return seen;
}

/** What a page shows as typed: `ocibundle` and its words, up to a pipe, a redirection, a comment or the code's end. */
const commandLines = (text: string): string[] =>
  [...text.matchAll(/(?<![\w./-])ocibundle (?=[a-z-]+)[^|#>)`\n]*/g)].map(([line]) => line.trim());

/** Prose has "ocibundle" before words too: a line of code begins with it, or has it behind a pipe or `$(`. */
const codeOf = (page: string): string =>
  [
    ...readFileSync(join(root, page), "utf8").matchAll(
      /^```\w*\n(.*?)^```$|^ {4}(?=ocibundle )(.*)$|`(ocibundle [^`]+)`/gms,
    ),
  ]
    .map(([, block, line, inline]) => block ?? line ?? inline ?? "")
    .join("\n")
    .replaceAll(/(?<=\s)#.*$/gm, "");

/** The flags of a command line that its command does not have, and the command where there is none. */
async function unknownParts(line: string): Promise<string[]> {
  const [, ...words] = line.replaceAll(/[[\]]|\.\.\./g, " ").split(/\s+/);
  if (/^[A-Z]|^$/.test(words[0] ?? "")) return [];
  const known = words.findIndex((word) => word.startsWith("-"));
  const before = known === -1 ? words : words.slice(0, known);
  const names = before.filter((word) => !/^[A-Z<]/.test(word));
  // With --help a group without one of its commands counts too.
  const found = await findCommand([...names, "--help"], commands).catch(() => undefined);
  if (found === undefined || (found.command === undefined && names.length > 0)) return [line];
  const args = found.command !== undefined && "args" in found.command ? found.command.args : {};
  const flags = flagsOf({ ...programFlags, ...args });
  const aliases = new Set([...flags.values()].map((flag) => aliasOf(flag.definition)));
  const typed = words
    .map((word) => word.split("=")[0] ?? "")
    .filter((word) => /^--?[a-z]/.test(word));
  return typed.filter(
    (flag) =>
      !(flag.startsWith("--")
        ? flags.has(flag.slice(2).replace(/^no-/, "")) || flags.has(flag.slice(2))
        : aliases.has(flag.slice(1))),
  );
}

const aliasOf = (definition: object): unknown =>
  "alias" in definition ? definition.alias : undefined;

/** The variables that the sources read from the environment by name. */
function variables(): Set<string> {
  const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !path.startsWith("harness/"))
    .map((path) => readFileSync(join(root, "src", path), "utf8"));
  return new Set(
    sources.flatMap((text) =>
      [...text.matchAll(/\benv\["([A-Z_]+)"\]/g)].map(([, name = ""]) => name),
    ),
  );
}

const filesBelow = (directory: string, ending: RegExp): string[] =>
  readdirSync(join(root, directory), { recursive: true, encoding: "utf8" })
    .filter((path) => ending.test(path))
    .map((path) => `${directory}/${path}`);

const combinationTests = [
  "test/interop/layouts.test.ts",
  "test/interop/readers.test.ts",
  "test/interop/round.test.ts",
  "test/scripts/parts.txtar",
  "test/unit/model/pull/formats.test.ts",
  "test/unit/model/jobs/cog-bundle.test.ts",
];

/** Which test, or line of a script, each cell of the table in docs/artifacts.md stands for. */
const combinations: Readonly<Record<string, string>> = {
  "ocibundle `bundle`, ocibundle: run":
    "holds, with a push and a pull that are killed in the middle",
  "ocibundle `bundle`, oras: run": "is unpacked by oras",
  "ocibundle `bundle`, crane: run": 'is what ${reader.name} reads and copies; name: "crane"',
  "ocibundle `bundle`, regctl: run": 'is what ${reader.name} reads and copies; name: "regctl"',
  "ocibundle `bundle`, skopeo: run": "every layout is copied by skopeo",
  "ocibundle `parts`, ocibundle: run": "--parts",
  "ocibundle `modelpack`, ocibundle: run":
    "every layout is copied by skopeo, and pulled from the copy",
  "ocibundle `modelpack`, oras: run": "is unpacked by oras",
  "ocibundle `modelpack`, skopeo: run": "every layout is copied by skopeo",
  "ocibundle `cog`, ocibundle: run": "every layout is copied by skopeo, and pulled from the copy",
  "ocibundle `cog`, skopeo: run": "every layout is copied by skopeo",
  "ocibundle `cog`, Cog: run":
    "layout cog, with the lock that is written beside it; the weights of a project file",
  "ocibundle `image`, ocibundle: run": "every layout is copied by skopeo, and pulled from the copy",
  "ocibundle `image`, crane: run": "layout image is an image for two platforms that crane exports",
  "ocibundle `image`, skopeo: run": "every layout is copied by skopeo",
  "ocibundle `image`, containerd: run": "layout image is pulled and mounted by containerd",
  "ocibundle `image`, podman: run": "layout image is pulled and mounted by podman",
  "ocibundle `image`, umoci: run": "layout image is unpacked by umoci",
  "ocibundle `bundle,image`, ocibundle: run": "layouts bundle and image in one index",
  "ocibundle `bundle,image`, oras: run": "layouts bundle and image in one index",
  "ocibundle `bundle,image`, crane: run": "layouts bundle and image in one index",
  "oras, files and directories, ocibundle: run":
    "files and a directory are pulled; the directory itself is pulled",
  "Cog since 0.19.3, ocibundle: fixture":
    "several in one index, from plain and compressed archives",
  "Cog 0.17 to 0.19.2, and 0.17 alpha, ocibundle: fixture":
    "one file per manifest, whose label lies about gzip; a bundle that Cog pushed",
  "ModelPack, also before the CNCF, ocibundle: fixture":
    "ModelPack, raw layers with paths; vnd.cnai.model.config",
  "Docker Model Runner 0.1 and 0.2, ocibundle: fixture":
    "Docker Model Runner 0.1 by types; Docker Model Runner 0.2 by paths",
  "KitOps ModelKit, ocibundle: fixture": "a ModelKit without an artifact type",
  "Ollama, ocibundle: fixture": "an Ollama model, its parts under names",
  "images with files under `/models`, ocibundle: fixture":
    "a directory of an image, its layers laid one over the other",
};

describe("the documentation", () => {
  test.each(pages)("%s names files and directories that exist", (page) => {
    const text = readFileSync(join(root, page), "utf8");
    const named = [
      ...[...text.matchAll(/`((?:src|test|scripts|docs)\/[\w./-]+)`/g)].map(
        ([, path = ""]) => path,
      ),
      // In commands.
      ...[...text.matchAll(/ \.\/(test\/[\w./-]+)/g)].map(([, path = ""]) => path),
      ...[...text.matchAll(/ -t ([\w-]+\.txtar)/g)].map(([, name]) => `test/scripts/${name}`),
    ];
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  test("the sources, tests and scripts name pages that exist", () => {
    const files = [
      ...filesBelow("src", /\.ts$/),
      ...filesBelow("test", /\.(?:ts|txtar)$/),
      ...filesBelow("scripts", /\.(?:ts|sh|mjs)$/),
    ];
    // What follows a slash or a dot, and docs/spec, are pages of other projects.
    const missing = files.flatMap((file) =>
      [
        ...readFileSync(join(root, file), "utf8").matchAll(
          /(?<![\w./-])docs\/(?!spec\/)[\w/-]+\.md\b/g,
        ),
      ]
        .map(([path]) => path)
        .filter((path) => !existsSync(join(root, path)))
        .map((path) => `${file}: ${path}`),
    );
    expect(missing).toEqual([]);
  });

  test.each(pages.filter((page) => page !== "docs/dev/testing.md"))(
    "%s shows commands and flags that exist",
    async (page) => {
      const lines = commandLines(codeOf(page));
      expect((await Promise.all(lines.map(unknownParts))).flat()).toEqual([]);
    },
  );

  test("every variable that is read is documented", () => {
    const page = readFileSync(join(root, "docs/environment.md"), "utf8");
    const found = variables();
    expect(found.size).toBeGreaterThan(10);
    // OS says that a program runs on Windows.
    expect([...found].filter((name) => name !== "OS" && !page.includes(`\`${name}\``))).toEqual([]);
  });

  test("the messages that troubleshooting quotes are in the sources", () => {
    const sources = filesBelow("src", /\.ts$/)
      .map((path) => readFileSync(join(root, path), "utf8"))
      .join("\n");
    const page = readFileSync(join(root, "docs/troubleshooting.md"), "utf8");
    // The first cell of a row; "…" stands for names and values. Codes of registries are theirs.
    const quoted = [...page.matchAll(/^\| ([^|]*) \|/gm)]
      .flatMap(([, cell = ""]) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = ""]) => text))
      .filter((text) => /[a-z] [a-z]/.test(text));
    expect(quoted.length).toBeGreaterThan(5);
    const parts = quoted.flatMap((text) => text.split(/"?…"?/)).map((part) => part.trim());
    expect(parts.filter((part) => !sources.includes(part))).toEqual([]);
  });

  test("every exit code is documented, by its names", () => {
    const rows = readFileSync(join(root, "docs/exit-codes.md"), "utf8").split("\n");
    for (const [name, code] of Object.entries(exitCodes)) {
      expect(rows.find((row) => row.startsWith(`| ${code} |`))).toContain(`\`${name}\``);
    }
  });

  test("what is said to be tested between tools has a test by that name", () => {
    const table = readFileSync(join(root, "docs/artifacts.md"), "utf8").split(
      "## Tested combinations",
    )[1];
    const [head = [], , ...rows] = [...(table ?? "").matchAll(/^\|(.*)\|$/gm)].map(([, row = ""]) =>
      row.split("|").map((cell) => cell.trim()),
    );
    const said = rows.flatMap(([writer, ...cells]) =>
      cells.flatMap((cell, at) => (cell === "-" ? [] : [`${writer}, ${head[at + 1]}: ${cell}`])),
    );
    expect(said).toEqual(Object.keys(combinations));
    const sources = combinationTests.map((path) => readFileSync(join(root, path), "utf8")).join("");
    const names = Object.values(combinations).flatMap((name) => name.split("; "));
    expect(names.filter((name) => !sources.includes(name))).toEqual([]);
  });

  test("every page is reached from the README", () => {
    const found = reachable("README.md");
    expect(pages.filter((page) => !found.has(page))).toEqual([]);
  });

  test.each(pages.filter((page) => page.startsWith("docs/")))("%s links on to the next", (page) => {
    const text = readFileSync(join(root, page), "utf8");
    expect(text).toMatch(/^Next: \[[^\]]+\]\([^)]+\)$/m);
  });

  test.each(pages)("%s links to what is there", (page) => {
    expect(brokenLinks(page)).toEqual([]);
  });

  test("the README names every command", () => {
    const rows = readme.split("\n").filter((line) => line.startsWith("| `"));
    const names = rows.join(" ");
    for (const name of Object.keys(commands)) expect(names).toContain(`\`${name}`);
  });

  test("the reference is that of the commands; `npm run reference` writes it", async () => {
    const written = readdirSync(join(root, "docs/reference"));
    const reference = referencePages(await collectHelp(), await collectHidden());
    expect(written.toSorted()).toEqual([...reference.keys()].toSorted());
    for (const [name, text] of reference) {
      expect(readFileSync(join(root, "docs/reference", name), "utf8")).toBe(text);
    }
  });

  test("the README's npm scripts exist", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    const named = [...readme.matchAll(/^npm (?:run )?([a-z]+)/gm)].map(([, name = ""]) => name);
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
    expect(named).toContain("demo");
  });
});
