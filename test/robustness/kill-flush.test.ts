import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { temporaryName } from "../../src/store/placement/materialize.ts";
import { makeModel, type Model, serveModel } from "./model-server.ts";
import {
  type Bench,
  compressibleBytes,
  filesBelow,
  openBench,
  randomBytes,
  sameBytes,
} from "./program-run.ts";

const MiB = 1024 * 1024;
const strace = Bun.which("strace");
const testWithStrace = strace === null ? test.skip : test;

const models: Record<string, Model> = {
  plain: makeModel([
    { name: "large", bytes: randomBytes(24 * MiB, 1) },
    { name: "middle", bytes: randomBytes(6 * MiB, 2) },
  ]),
  compressed: makeModel([
    { name: "large", bytes: compressibleBytes(24 * MiB, 1), compression: "zstd" },
    { name: "middle", bytes: compressibleBytes(6 * MiB, 2), compression: "gzip" },
  ]),
};

/** What a kill may cost, in bytes: what has arrived on eight connections since the journal's last step. */
const mostAgain = 4 * MiB;

const isWhole = (bench: Bench, { weights }: Model): boolean =>
  weights.every(({ dest, bytes }) => {
    const path = bench.path("models", dest);
    return existsSync(path) && sameBytes(path, bytes);
  });

describe("a pull that is killed when everything has arrived fetches next to nothing again", () => {
  for (const [kind, model] of Object.entries(models)) {
    for (const flags of [[], ["--no-cache"]]) {
      for (const signal of ["KILL", "TERM"]) {
        testWithStrace(
          `${kind}, ${flags[0] ?? "through the cache"}, SIG${signal} (needs strace)`,
          async () => {
            await using server = await serveModel(model);
            let kills = 0;
            for (const [calls, when, ofPart] of [
              ["fsync,fdatasync", 1],
              ["fsync,fdatasync", 2],
              ["link,linkat,rename,renameat,renameat2", 1],
              ["fchmod", 1],
              ["fsync", 1, "of the part"],
            ] as readonly [string, number, string?][]) {
              using bench = openBench("kill-flush");
              server.forget();
              const args = ["pull", server.reference, "-o", "models", ...flags];
              const traced = [
                "-f",
                "-o",
                "/dev/null",
                "-e",
                `trace=${calls}`,
                "-e",
                `inject=${calls}:signal=${signal}:when=${when}`,
                // Only of the large file, where it grows beside its place.
                ...(ofPart !== undefined
                  ? ["-P", bench.path("models/src/weights", temporaryName("large"))]
                  : []),
              ];
              const { code } = await bench.runUnder([strace ?? "", ...traced], args);
              if (code !== 0) kills += 1;
              const after = await bench.run(args);
              expect({ code: after.code, stderr: after.code === 0 ? "" : after.stderr }).toEqual({
                code: 0,
                stderr: "",
              });
              expect(server.bytesSent()).toBeLessThan(model.size + mostAgain);
              expect(isWhole(bench, model)).toBe(true);
              const left = [...filesBelow(bench.path("models")), ...filesBelow(bench.cache)];
              expect(left.filter((path) => /journal|partial|\.tmp|\.blob$/.test(path))).toEqual([]);
            }
            expect(kills).toBeGreaterThan(0);
          },
          120_000,
        );
      }
    }
  }
});
