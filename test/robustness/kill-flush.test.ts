import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { temporaryName } from "../../src/store/placement/materialize.ts";
import { attack } from "../support/attacks/attack-runs.ts";
import { makeModel, type Model, serveModel } from "../support/attacks/model-server.ts";
import {
  type Bench,
  compressibleBytes,
  filesBelow,
  openBench,
  randomBytes,
  sameBytes,
} from "../support/attacks/program-run.ts";

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

/**
 * Bytes that arrived, by a trace of the calls. What the server has sent is more: how much of it waits in
 * the buffers of the system depends on how busy the machine is.
 */
function arrivedIn(trace: string): number {
  const counts = trace.matchAll(/^\d+ +(?:<\.\.\. )?recvfrom\b.* = (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

const largeSize = ({ blobs }: Model): number =>
  Math.max(...[...blobs.values()].map(({ length }) => length));

const isWhole = (bench: Bench, { weights }: Model): boolean =>
  weights.every(({ dest, bytes }) => {
    const path = bench.path("models", dest);
    return existsSync(path) && sameBytes(path, bytes);
  });

/** A signal that can be caught leaves more than one that can't: each is tried at night. */
const signals = attack.runs > 3 ? ["KILL", "TERM"] : ["KILL"];

describe("a pull that is killed when everything has arrived fetches next to nothing again", () => {
  for (const [kind, model] of Object.entries(models)) {
    for (const flags of [[], ["--no-cache"]]) {
      for (const signal of signals) {
        testWithStrace(
          `${kind}, ${flags[0] ?? "through the cache"}, SIG${signal} (needs strace)`,
          async () => {
            await using server = await serveModel(model);
            let kills = 0;
            for (const [calls, when, ofPart] of [
              ["fsync,fdatasync", 1],
              ["fsync,fdatasync", 2],
              ["fsync,fdatasync", 8],
              ["link,linkat,rename,renameat,renameat2", 1],
              ["link,linkat,rename,renameat,renameat2", 5],
              ["fchmod", 1],
              ["fchmod", 2],
              ["fsync", 1, "of the part"],
            ] as readonly [string, number, string?][]) {
              using bench = openBench("kill-flush");
              const args = ["pull", server.reference, "-o", "models", ...flags];
              const trace = bench.path("trace");
              const traced = [
                "-f",
                "-qq",
                "-s",
                "0",
                "-o",
                trace,
                "-e",
                "signal=none",
                "-e",
                `trace=recvfrom,${calls}`,
                "-e",
                `inject=${calls}:signal=${signal}:when=${when}`,
                // Only of the large file, where it grows beside its place.
                ...(ofPart !== undefined
                  ? ["-P", bench.path("models/src/weights", temporaryName("large"))]
                  : []),
              ];
              const { code } = await bench.runUnder([strace ?? "", ...traced], args);
              if (code !== 0) kills += 1;
              // With a path, other calls are not traced: the file that is flushed has arrived whole.
              const arrived =
                code === 0
                  ? model.size
                  : ofPart === undefined
                    ? arrivedIn(readFileSync(trace, "utf8"))
                    : largeSize(model);
              server.forget();
              const after = await bench.run(args);
              expect({ code: after.code, stderr: after.code === 0 ? "" : after.stderr }).toEqual({
                code: 0,
                stderr: "",
              });
              expect(server.bytesSent()).toBeLessThan(model.size - arrived + mostAgain);
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
