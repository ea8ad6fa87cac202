import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { TCPSocketListener } from "bun";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { program } from "../../support/scripts/runner.ts";
import { promptly } from "../../support/promptly.ts";

/** A registry that takes connections and never answers. */
let silent: TCPSocketListener;
let asked = Promise.withResolvers<void>();
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "ocibundle-process-"));
  silent = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data() {
        asked.resolve();
      },
    },
  });
});
afterAll(async () => {
  silent.stop(true);
  await rm(directory, { recursive: true });
});

const start = (...words: string[]) =>
  Bun.spawn([...program, ...words], {
    cwd: directory,
    env: { PATH: process.env["PATH"] ?? "", HOME: directory, XDG_CACHE_HOME: directory },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 30_000,
  });

const text = (stream: ReadableStream<Uint8Array>): Promise<string> => new Response(stream).text();

describe("the process", () => {
  test.each([
    ["SIGINT", 130, "interrupted"],
    ["SIGTERM", 143, "terminated"],
    ["SIGHUP", 129, "the terminal was closed"],
  ] as const)("%s ends it within a second, with exit code %d", async (signal, code, said) => {
    asked = Promise.withResolvers();
    const running = start("inspect", `127.0.0.1:${silent.port}/a/b:c`);
    await asked.promise;
    const began = performance.now();
    running.kill(signal);
    expect(await running.exited).toBe(code);
    expect(performance.now() - began).toBeLessThan(promptly);
    expect(await text(running.stderr)).toBe(
      `error: ${said}\nhint: run the command again to resume\n`,
    );
    expect(await text(running.stdout)).toBe("");
  });

  test("a reader that goes away is no failure", async () => {
    const shell = Bun.spawn(
      ["bash", "-c", 'set -o pipefail; "$@" completions bash | head -c 1', "bash", ...program],
      {
        cwd: directory,
        env: { PATH: process.env["PATH"] ?? "" },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    expect(await text(shell.stderr)).toBe("");
    expect((await text(shell.stdout)).length).toBe(1);
    expect(await shell.exited).toBe(0);
  });

  test("on a terminal, bars are drawn above the result", async () => {
    let shown = "";
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const words = ["mock-weights", "-n", "1", "--min-size", "1mb", "--max-size", "1mb"];
    const running = Bun.spawn([...program, ...words], {
      cwd: directory,
      env: {
        PATH: process.env["PATH"] ?? "",
        HOME: directory,
        XDG_CACHE_HOME: directory,
        TERM: "xterm",
      },
      terminal: {
        cols: 90,
        rows: 20,
        data(_, bytes) {
          shown += new TextDecoder().decode(bytes);
        },
        exit() {
          end();
        },
      },
    });
    expect(await running.exited).toBe(0);
    running.terminal?.close();
    await ended;
    const [first = "", second = ""] = shown.split("\r\n");
    expect(first).toMatch(/^ {2}weights {2}weights-001\.bin {2}.*█{24}.* 1\.0 MiB/);
    expect(second).toContain("1 file");
  });
});
