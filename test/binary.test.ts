import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { $ } from "bun";
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { compile } from "../scripts/compile.ts";

/** A compiled binary runs in directories that strangers made. */
let directory: string;
let hostile: string;

beforeAll(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), "ocibundle-binary-")));
  hostile = join(directory, "hostile");
  await mkdir(hostile);
  await writeFile(join(hostile, ".env"), "PLANTED=yes\nOCIBUNDLE_PROGRESS=nonsense\n");
  await writeFile(join(hostile, "bunfig.toml"), 'preload = ["./preloaded.ts"]\n');
  await writeFile(join(hostile, "preloaded.ts"), 'console.log("preloaded");\n');
});

afterAll(() => rm(directory, { recursive: true }));

describe("a compiled program", () => {
  const program = `
    declare const OCIBUNDLE_VERSION: string;
    declare const OCIBUNDLE_COMMIT: string;
    console.log(OCIBUNDLE_VERSION, OCIBUNDLE_COMMIT, process.env.PLANTED ?? "clean");
  `;

  test("knows its version and commit, and takes nothing from .env or bunfig.toml", async () => {
    const source = join(directory, "main.ts");
    const outfile = join(directory, "program");
    await writeFile(source, program);
    await compile({
      entrypoints: [source],
      root: directory,
      outfile,
      stamp: { version: "1.2.3", commit: "abc" },
    });
    expect(await $`${outfile}`.cwd(hostile).text()).toBe("1.2.3 abc clean\n");
    // The trap works: run from source, Bun walks into it.
    expect(await $`${process.execPath} ${source}`.cwd(hostile).nothrow().text()).toContain(
      "preloaded",
    );
  });
});

const binary = process.env["OCIBUNDLE_BINARY"];

const run = (...args: string[]) =>
  $`${resolve(binary ?? "")} ${args}`.cwd(hostile).nothrow().quiet();

describe.skipIf(binary === undefined)("the binary (OCIBUNDLE_BINARY)", () => {
  test("takes nothing from .env or bunfig.toml of where it runs", async () => {
    const version = await run("--version");
    expect(version.text()).toMatch(/^\d+\.\d+\.\d+ \(.+\)$/m);
    expect(version.text()).not.toContain("preloaded");
    expect(version.exitCode).toBe(0);
    // With the planted variable in effect this would be about the progress.
    const inspect = await run("inspect", "oci:nowhere");
    expect(inspect.stderr.toString()).toContain("nowhere");
    expect(inspect.stderr.toString()).not.toContain("nonsense");
  });
});
