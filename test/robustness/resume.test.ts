import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { makeModel, serveModel, type Weight } from "../support/attacks/model-server.ts";
import { filesBelow, openBench, sameBytes } from "../support/attacks/program-run.ts";

const MiB = 1024 * 1024;

// Large enough for two per cent to be more than a journal may be behind.
const bytes = randomBytes(320 * MiB);

const cases: { name: string; compression: NonNullable<Weight["compression"]>; flags: string[] }[] =
  [
    { name: "of a plain weight, through the cache", compression: "none", flags: [] },
    { name: "of a zstd weight, without the cache", compression: "zstd", flags: ["--no-cache"] },
  ];

/** Bytes that the journals below a directory say to be written. */
const journaledBytes = (directory: string): number =>
  filesBelow(directory)
    .filter((name) => name.endsWith(".journal"))
    .reduce((sum, name) => sum + writtenIn(join(directory, name)), 0);

function writtenIn(journal: string): number {
  try {
    // After the first line, each has the start and the end of a range.
    const lines = readFileSync(journal, "utf8").matchAll(/(\d+) +(\d+)\n/g);
    return [...lines].reduce((sum, [, start, end]) => sum + Number(end) - Number(start), 0);
  } catch {
    // It is just being made.
    return 0;
  }
}

/** Bytes that a copy has written below a directory. */
const copiedBytes = (directory: string): number =>
  filesBelow(directory)
    .filter((name) => /^(?:layout|model\.tar)/.test(name))
    .reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);

const isTemporary = (name: string): boolean => /\.(?:part|tmp|lock)(?:\.|$)/.test(name);

describe("after a kill at 90 %", () => {
  test.each(cases)(
    "a pull $name asks for at most 12 %% of the bytes",
    async ({ compression, flags }) => {
      const model = makeModel([{ name: "large", bytes, compression }]);
      await using server = await serveModel(model);
      using bench = openBench("resume");
      const target = bench.path("models");
      const args = ["pull", server.reference, "-o", target, ...flags];

      const share = Math.floor(model.size * 0.9);
      server.holdAfter(share);
      const running = bench.start(args);
      await server.sent(share);
      // What is on the way when everything stands still is not lost yet: it is waited for, but for what
      // connections gather before they write it, and what a journal may be behind.
      while (journaledBytes(bench.directory) < share - 4 * MiB) await Bun.sleep(5);
      running.kill("SIGKILL");
      expect((await running.ended).signal).toBe("SIGKILL");
      expect(server.bytesSent()).toBeLessThan(model.size * 0.905);

      server.forget();
      server.holdAfter(Infinity);
      const { code, stderr } = await bench.run(args);
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      expect(server.bytesAsked()).toBeLessThanOrEqual(model.size * 0.12);
      expect(sameBytes(join(target, "src/weights/large"), bytes)).toBe(true);
      expect(filesBelow(target)).toEqual(["src/weights/.cog/ready", "src/weights/large"]);
      expect(filesBelow(join(bench.cache, "tmp"))).toEqual([]);
    },
    60_000,
  );

  const targets = [
    { name: "a layout", to: "oci:layout:v1" },
    { name: "an archive", to: "oci-archive:model.tar:v1" },
  ];
  test.each(targets)(
    "a copy to $name asks for at most 12 %% of the bytes",
    async ({ to }) => {
      const model = makeModel([
        { name: "first", bytes: bytes.subarray(0, 80 * MiB) },
        { name: "second", bytes: bytes.subarray(80 * MiB, 128 * MiB) },
        { name: "small", bytes: bytes.subarray(0, 1000) },
      ]);
      await using server = await serveModel(model);
      using bench = openBench("resume");
      const args = ["copy", server.reference, to, "--concurrency", "1"];

      const share = Math.floor(model.size * 0.9);
      server.holdAfter(share);
      const running = bench.start(args);
      await server.sent(share);
      while (copiedBytes(bench.directory) < share - MiB) await Bun.sleep(5);
      running.kill("SIGKILL");
      expect((await running.ended).signal).toBe("SIGKILL");

      server.forget();
      server.holdAfter(Infinity);
      const { code, stderr } = await bench.run(args);
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      expect(server.bytesAsked()).toBeLessThanOrEqual(model.size * 0.12);
      expect((await bench.run(["verify", to])).code).toBe(0);
      expect(filesBelow(bench.directory).filter(isTemporary)).toEqual([]);
    },
    60_000,
  );
});
