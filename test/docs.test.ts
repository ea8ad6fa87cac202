import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { commands } from "../src/commands/table.ts";

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

describe("the documentation", () => {
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

  test("the README names every command", async () => {
    const rows = readme.split("\n").filter((line) => line.startsWith("| `"));
    const names = rows.join(" ");
    for (const [name, load] of Object.entries(commands)) {
      const { meta } = await load();
      if (meta.hidden !== true) expect(names).toContain(`\`${name}`);
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
