import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../src/oci/digest.ts";
import { temporaryName } from "../../src/store/placement/materialize.ts";
import { makeModel, serveModel } from "../support/attacks/model-server.ts";
import {
  type Bench,
  compressibleBytes,
  filesBelow,
  openBench,
  randomBytes,
} from "../support/attacks/program-run.ts";
import { hasWeights } from "../support/attacks/expect-run.ts";

const MiB = 1024 * 1024;

const version = (seed: number, compression: "none" | "zstd" = "none") =>
  makeModel([
    { name: "large", bytes: compressibleBytes(6 * MiB, seed), compression },
    { name: "small", bytes: randomBytes(1000, seed + 1) },
  ]);
const v1 = version(1);
const v2 = version(3);
const v2Compressed = version(3, "zstd");

/** Blobs of the cache whose bytes are not those of their names. */
const wrongBlobs = ({ cache }: Bench): string[] =>
  filesBelow(join(cache, "blobs/sha256")).filter(
    (hex) => digestOf(readFileSync(join(cache, "blobs/sha256", hex))) !== `sha256:${hex}`,
  );

const strace = Bun.which("strace");
const testWithStrace = strace === null ? test.skip : test;

describe("a pull that was killed while it linked", () => {
  for (const calls of ["link,linkat", "unlink,unlinkat"]) {
    testWithStrace(
      `leaves nothing that the next one writes through (${calls}; needs strace)`,
      async () => {
        await using first = await serveModel(v1);
        await using second = await serveModel(v2);
        await using third = await serveModel(v2Compressed);
        let kills = 0;
        for (let when = 1; when <= 6; when += 1) {
          using bench = openBench("links");
          expect((await bench.run(["pull", first.reference, "-o", "one"])).code).toBe(0);
          const inject = `inject=${calls}:signal=KILL:when=${when}`;
          const { code } = await bench.runUnder(
            [strace ?? "", "-f", "-o", bench.path("calls"), "-e", `trace=${calls}`, "-e", inject],
            ["pull", first.reference, "-o", "two"],
          );
          if (code !== 0) kills += 1;
          const next = when % 2 === 0 ? second : third;
          const args = ["pull", next.reference, "-o", "two", "--no-cache", "--force"];
          const { code: after, stderr } = await bench.run(args);
          expect({ after, stderr: after === 0 ? "" : stderr }).toEqual({ after: 0, stderr: "" });
          expect(hasWeights(bench.path("one"), v1)).toBe(true);
          expect(hasWeights(bench.path("two"), v2)).toBe(true);
          expect(wrongBlobs(bench)).toEqual([]);
        }
        expect(kills).toBeGreaterThan(0);
      },
      120_000,
    );
  }
});

/** What such a kill leaves: the temporary name is a second one of a file that is finished. */
const secondNames = {
  "of the cache's file": (bench: Bench, name: string) => {
    const { bytes } = v1.weights.find((weight) => weight.name === name) ?? { bytes: undefined };
    const hex = digestOf(bytes ?? new Uint8Array()).slice("sha256:".length);
    return join(bench.cache, "blobs/sha256", hex);
  },
  "of the final file": (bench: Bench, name: string) => bench.path("two/src/weights", name),
};

describe.each(Object.entries(secondNames))("a temporary name that is one %s", (_name, pathOf) => {
  for (const [kind, next] of [
    ["plain", v2],
    ["compressed", v2Compressed],
  ] as const) {
    test(`is not written through (${kind})`, async () => {
      await using first = await serveModel(v1);
      await using second = await serveModel(next);
      using bench = openBench("links");
      for (const directory of ["one", "two"]) {
        expect((await bench.run(["pull", first.reference, "-o", directory])).code).toBe(0);
      }
      for (const { name } of v1.weights) {
        linkSync(pathOf(bench, name), bench.path("two/src/weights", temporaryName(name)));
      }
      const args = ["pull", second.reference, "-o", "two", "--no-cache", "--force"];
      expect((await bench.run(args)).code).toBe(0);
      expect(hasWeights(bench.path("one"), v1)).toBe(true);
      expect(hasWeights(bench.path("two"), v2)).toBe(true);
      expect(wrongBlobs(bench)).toEqual([]);
    });
  }
});

/** The names of a pull, of its cache, and of a copy to a layout. */
const places = (bench: Bench): string[] => {
  const hex = v1.weights.map(({ bytes }) => digestOf(bytes).slice("sha256:".length));
  const pulled = v1.weights.map(({ name }) => `two/src/weights/${temporaryName(name)}`);
  return [
    ...["downloading.tmp", "ready.tmp"].map((name) => `two/src/weights/.cog/${name}`),
    ...pulled,
    ...pulled.map((path) => `${path}.journal.new`),
    ...pulled.map((path) => `${path}.journal`),
    "two/.ocibundle-lock.holder",
    ...hex.flatMap((digits) => [
      `cache/tmp/sha256-${digits}.partial`,
      `cache/tmp/sha256-${digits}.journal`,
      `cache/tmp/sha256-${digits}.journal.new`,
    ]),
    ...hex.map((digits) => `layout/.ocibundle-${digits}.part`),
  ].map((path) => bench.path(path));
};

describe("what somebody puts in the place of a temporary file", () => {
  const kinds = {
    "a symbolic link": (path: string, victim: string) => symlinkSync(victim, path),
    "a hard link": (path: string, victim: string) => linkSync(victim, path),
    "a FIFO": (path: string) => expect(spawnSync("mkfifo", [path]).status).toBe(0),
  };
  for (const [kind, put] of Object.entries(kinds)) {
    for (const flags of [[], ["--no-cache"]]) {
      test(`${kind} is replaced, and nothing goes through it (${flags[0] ?? "cached"})`, async () => {
        await using server = await serveModel(v1);
        using bench = openBench("links");
        const victim = bench.path("victim");
        writeFileSync(victim, "precious");
        for (const path of places(bench)) {
          mkdirSync(join(path, ".."), { recursive: true });
          put(path, victim);
        }
        const pull = await bench.run(["pull", server.reference, "-o", "two", ...flags]);
        expect({ code: pull.code, stderr: pull.code === 0 ? "" : pull.stderr }).toEqual({
          code: 0,
          stderr: "",
        });
        const copy = await bench.run(["copy", server.reference, "oci:layout:v1"]);
        expect({ code: copy.code, stderr: copy.code === 0 ? "" : copy.stderr }).toEqual({
          code: 0,
          stderr: "",
        });
        expect(readFileSync(victim, "utf8")).toBe("precious");
        expect(hasWeights(bench.path("two"), v1)).toBe(true);
        for (const { dest } of v1.weights) {
          expect(lstatSync(bench.path("two", dest)).isFile()).toBe(true);
        }
        expect((await bench.run(["verify", "oci:layout:v1"])).code).toBe(0);
        expect(wrongBlobs(bench)).toEqual([]);
      });
    }
  }
});

/** Nothing of an earlier run is left beside the weights. */
test("after a pull over such names nothing of them is left", async () => {
  await using server = await serveModel(v1);
  using bench = openBench("links");
  mkdirSync(bench.path("two/src/weights"), { recursive: true });
  for (const { name } of v1.weights) {
    symlinkSync("nowhere", bench.path("two/src/weights", temporaryName(name)));
  }
  expect((await bench.run(["pull", server.reference, "-o", "two"])).code).toBe(0);
  expect(readdirSync(bench.path("two/src/weights")).toSorted()).toEqual([".cog", "large", "small"]);
  expect(existsSync(bench.path("two/src/weights/nowhere"))).toBe(false);
  rmSync(bench.path("two"), { recursive: true });
});
