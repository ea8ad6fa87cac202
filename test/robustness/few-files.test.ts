import { describe, expect, test } from "bun:test";
import { makeModel, serveModel } from "../support/attacks/model-server.ts";
import { type Ended, openBench, randomBytes, sameBytes } from "../support/attacks/program-run.ts";

const model = makeModel([
  ...Array.from({ length: 60 }, (_, index) => ({
    name: `small-${index}`,
    bytes: randomBytes(10_000, index + 1),
    dest: `/src/weights/${index % 10}/${index}`,
  })),
  { name: "large", bytes: randomBytes(20 * 1024 * 1024, 99) },
  { name: "packed", bytes: new Uint8Array(8 * 1024 * 1024), compression: "zstd" as const },
]);

const limited = (files: number): string[] => [
  "sh",
  "-c",
  `ulimit -n ${files} && exec "$@"`,
  "limited",
];

describe.each([256, 64, 40])("with %d open files at most", (files) => {
  test.each([[], ["--no-cache"], ["--concurrency", "64"]])(
    "a pull does less at once, and comes through (%p)",
    async (...flags) => {
      await using server = await serveModel(model);
      using bench = openBench("few-files");
      const under = limited(files);
      const run = async (...args: string[]): Promise<Pick<Ended, "code" | "stderr">> => {
        const { code, stderr } = await bench.runUnder(under, args);
        return { code, stderr: code === 0 ? "" : stderr };
      };
      const whole = { code: 0, stderr: "" };
      expect(await run("pull", server.reference, "-o", "models", ...flags)).toEqual(whole);
      for (const { dest, bytes } of model.weights) {
        expect(sameBytes(bench.path("models", dest), bytes)).toBe(true);
      }
      expect(await run("verify", server.reference, "--dir", "models")).toEqual(whole);
      expect(await run("copy", server.reference, "oci:layout:v1")).toEqual(whole);
      expect(await run("lock", "./models")).toEqual(whole);
    },
    60_000,
  );
});
