import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { makeModel, serveModel } from "../support/attacks/model-server.ts";
import { type Bench, openBench, randomBytes } from "../support/attacks/program-run.ts";
import { promptly } from "../support/promptly.ts";

const MiB = 1024 * 1024;
const model = makeModel([
  { name: "large", bytes: randomBytes(9 * MiB, 21) },
  { name: "small", bytes: randomBytes(1000, 22), dest: "/src/weights/below/small" },
]);
const other = makeModel([{ name: "large", bytes: randomBytes(9 * MiB, 23) }]);

const markers = (bench: Bench): string[] => readdirSync(bench.path("models/src/weights/.cog"));
const marker = (bench: Bench, name: string): string =>
  readFileSync(bench.path("models/src/weights/.cog", name), "utf8").trim();

describe("beside the weights", () => {
  for (const [signal, code] of [
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const) {
    for (const flags of [[], ["--no-cache"]]) {
      test(`"downloading" stays after ${signal}, within a second, and becomes "ready" (${flags[0] ?? "cached"})`, async () => {
        await using server = await serveModel(model);
        server.holdAfter(2 * MiB);
        using bench = openBench("markers");
        const args = ["pull", server.reference, "-o", "models", ...flags];
        const running = bench.start(args);
        await server.sent(2 * MiB);
        expect(markers(bench)).toEqual(["downloading"]);
        expect(marker(bench, "downloading")).toBe(model.manifest.digest);
        const asked = performance.now();
        running.kill(signal);
        const ended = await running.ended;
        expect(performance.now() - asked).toBeLessThan(promptly);
        expect(ended.code).toBe(code);
        expect(ended.stderr).toMatch(/hint: run the command again to resume/);
        expect(markers(bench)).toEqual(["downloading"]);
        server.holdAfter(Infinity);
        expect((await bench.run(args)).code).toBe(0);
        expect(markers(bench)).toEqual(["ready"]);
        expect(marker(bench, "ready")).toBe(model.manifest.digest);
      }, 60_000);
    }
  }

  test('"failed" has the message, and becomes "ready" once it works', async () => {
    await using server = await serveModel(model, () => ({ status: 404 }));
    using bench = openBench("markers");
    const args = ["pull", server.reference, "-o", "models"];
    const { code, stderr } = await bench.run(args);
    expect(code).toBe(3);
    expect(markers(bench)).toEqual(["failed"]);
    expect(stderr).toContain(marker(bench, "failed"));
    expect(marker(bench, "failed")).toMatch(/blob sha256:[0-9a-f]+ not found/);
    server.behave = () => ({});
    expect((await bench.run(args)).code).toBe(0);
    expect(markers(bench)).toEqual(["ready"]);
  }, 60_000);

  test('"ready" is taken back while another model comes, and where it may not come', async () => {
    await using server = await serveModel(model);
    await using second = await serveModel(other);
    using bench = openBench("markers");
    expect((await bench.run(["pull", server.reference, "-o", "models"])).code).toBe(0);
    expect(marker(bench, "ready")).toBe(model.manifest.digest);
    const args = ["pull", second.reference, "-o", "models"];
    expect((await bench.run(args)).code).toBe(8);
    expect(markers(bench)).toEqual(["failed"]);
    expect(marker(bench, "failed")).toMatch(/exists with different content/);
    expect((await bench.run([...args, "--force"])).code).toBe(0);
    expect(markers(bench)).toEqual(["ready"]);
    expect(marker(bench, "ready")).toBe(other.manifest.digest);
  }, 60_000);

  test("what runs that were killed while they wrote have left is gone after a success", async () => {
    await using server = await serveModel(model);
    using bench = openBench("markers");
    mkdirSync(bench.path("models/src/weights/.cog"), { recursive: true });
    for (const name of ["ready", "downloading", "failed", "failed.tmp", "downloading.tmp"]) {
      writeFileSync(bench.path("models/src/weights/.cog", name), `${model.manifest.digest}\n`);
    }
    writeFileSync(bench.path("models/src/weights/.ocibundle-0123456789abcdef.tmp"), "part");
    writeFileSync(bench.path("models/.ocibundle-lock"), "");
    const args = ["pull", server.reference, "-o", "models"];
    expect((await bench.run(args)).code).toBe(0);
    expect(markers(bench)).toEqual(["ready"]);
    expect(readdirSync(bench.path("models/src/weights")).toSorted()).toEqual([
      ".cog",
      "below",
      "large",
    ]);
    expect(readdirSync(bench.path("models"))).toEqual(["src"]);
    // And where every file is there already.
    writeFileSync(bench.path("models/src/weights/.cog/downloading"), "");
    expect((await bench.run(args)).code).toBe(0);
    expect(markers(bench)).toEqual(["ready"]);
  }, 60_000);
});

describe("a pull that fails before it knows what to pull", () => {
  test("says so in the directory that was named, until the next one knows more", async () => {
    await using server = await serveModel(model);
    using bench = openBench("markers");
    const missing = server.reference.replace(/[^/]+$/, "none:v1");
    const { code, stderr } = await bench.run(["pull", missing, "-o", "models"]);
    expect(code).toBe(3);
    const failed = readFileSync(bench.path("models/.cog/failed"), "utf8");
    expect(stderr).toContain(failed.trim());
    expect((await bench.run(["pull", server.reference, "-o", "models"])).code).toBe(0);
    expect(existsSync(bench.path("models/.cog"))).toBe(false);
    expect(markers(bench)).toEqual(["ready"]);
  });

  test("leaves nothing in a directory that nobody named, nor for an invalid command line", async () => {
    await using server = await serveModel(model);
    using bench = openBench("markers");
    expect((await bench.run(["pull", server.reference.replace(/[^/]+$/, "none:v1")])).code).toBe(3);
    expect((await bench.run(["pull", server.reference, "-o", "models", "--what"])).code).toBe(2);
    expect(existsSync(bench.path(".cog"))).toBe(false);
    expect(existsSync(bench.path("models"))).toBe(false);
  });

  test("says so for a reference that is none, too", async () => {
    using bench = openBench("markers");
    expect((await bench.run(["pull", "acme/Upper", "-o", "models"])).code).toBe(2);
    expect(readFileSync(bench.path("models/.cog/failed"), "utf8")).toMatch(/acme\/Upper/);
  });
});

const strace = Bun.which("strace");
const testWithStrace = strace === null ? test.skip : test;

describe('before "ready"', () => {
  for (const flags of [[], ["--no-cache"]]) {
    testWithStrace(
      `every byte and every name is flushed (${flags[0] ?? "cached"}; needs strace)`,
      async () => {
        await using server = await serveModel(model);
        using bench = openBench("markers");
        const calls = "fsync,fdatasync,rename,renameat,renameat2,link,linkat,symlinkat";
        const log = bench.path("calls");
        const { code, stderr } = await bench.runUnder(
          [strace ?? "", "-f", "-y", "-e", `trace=${calls}`, "-o", log],
          ["pull", server.reference, "-o", "models", ...flags],
        );
        expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
        const lines = readFileSync(log, "utf8").split("\n");
        const ready = lines.findIndex((line) => /rename.*ready\.tmp", .*\/ready"/.test(line));
        expect(ready).toBeGreaterThan(0);
        const before = lines.slice(0, ready);
        const flushed = before.flatMap(
          (line) => /f(?:data)?sync\(\d+<([^>]+)>/.exec(line)?.[1] ?? [],
        );
        const weights = bench.path("models/src/weights");
        expect(flushed.filter((path) => path === weights).length).toBeGreaterThan(0);
        expect(flushed).toContain(`${weights}/below`);
        expect(flushed).toContain(`${weights}/.cog/ready.tmp`);
        // The names of the directories that were made are in the directories above them.
        expect(flushed).toContain(bench.path("models"));
        expect(flushed).toContain(bench.path("models/src"));
        // Each weight under the name that it was flushed under, before it was given its own.
        const parts = flushed.filter(
          (path) => /\.(?:partial|tmp)$/.test(path) && !path.includes(".cog"),
        );
        // The small one is a copy of the cached one, where files are no reflinks.
        expect(new Set(parts).size).toBeGreaterThanOrEqual(model.weights.length);
        for (const part of parts) {
          const at = before.findIndex((line) => line.includes("sync(") && line.includes(part));
          const name = part.slice(part.lastIndexOf("/") + 1);
          const renamed = before.findIndex(
            (line) => /rename|link/.test(line) && line.includes(`${name}"`),
          );
          expect(renamed).toBeGreaterThan(at);
        }
        rmSync(log);
      },
      60_000,
    );
  }
});
