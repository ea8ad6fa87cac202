import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { makeModel, serveModel } from "../support/attacks/model-server.ts";
import {
  type Bench,
  compressibleBytes,
  openBench,
  randomBytes,
} from "../support/attacks/program-run.ts";
import { hasWeights } from "../support/attacks/expect-run.ts";

const MiB = 1024 * 1024;
const strace = Bun.which("strace");

const model = makeModel([
  { name: "large", bytes: compressibleBytes(5 * MiB, 1) },
  { name: "packed", bytes: compressibleBytes(2 * MiB, 2), compression: "zstd" },
  { name: "small", bytes: randomBytes(1000, 3) },
]);

/** What network file systems answer to who asks for a lock; the first three look like a lock of another. */
const answers = ["EAGAIN", "EACCES", "ENOLCK", "EIO", "EOPNOTSUPP", "ENOSYS"];

/** The program on a file system without locks: each request for one is answered so. */
const under = (answer: string): string[] =>
  `${strace ?? ""} -f -qq -o /dev/null -e trace=fcntl -e inject=fcntl:error=${answer}`.split(" ");

function expectWhole(bench: Bench): void {
  expect(hasWeights(bench.path("models"), model)).toBe(true);
  expect(readdirSync(bench.path("models")).toSorted()).toEqual(["src"]);
  const weights = bench.path("models/src/weights");
  expect(readdirSync(weights).toSorted()).toEqual([".cog", "large", "packed", "small"]);
  expect(readdirSync(join(weights, ".cog"))).toEqual(["ready"]);
}

describe.skipIf(strace === null)("where files can't be locked (needs strace)", () => {
  test.each(answers)(
    "a pull goes on alone, says so once, and leaves nothing (%s)",
    async (answer) => {
      await using server = await serveModel(model);
      using bench = openBench("no-locks");
      const args = ["pull", server.reference, "-o", "models"];
      const { code, stderr } = await bench.runUnder(under(answer), args);
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      expect(stderr.match(/cannot lock files/g)).toHaveLength(1);
      expectWhole(bench);
      expect(readdirSync(join(bench.cache, "locks"))).toEqual([]);
      expect(readdirSync(join(bench.cache, "tmp"))).toEqual([]);
      const pruned = await bench.runUnder(under(answer), ["cache", "prune", "--max-size", "0"]);
      expect(pruned.code).toBe(7);
      expect(pruned.stderr).toContain("cannot lock its files");
      expect(readdirSync(join(bench.cache, "blobs/sha256")).length).toBe(model.weights.length);
    },
  );

  test.each([
    ["EAGAIN", []],
    ["ENOLCK", ["--no-cache"]],
    ["EIO", ["--no-cache"]],
  ])("several into one directory do not disturb each other (%s %p)", async (answer, flags) => {
    await using server = await serveModel(model);
    using bench = openBench("no-locks");
    const args = ["pull", server.reference, "-o", "models", ...flags];
    const runs = Array.from({ length: 4 }, () => bench.runUnder(under(answer), args));
    for (const { code, stderr } of await Promise.all(runs)) {
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    }
    expectWhole(bench);
  });
});
