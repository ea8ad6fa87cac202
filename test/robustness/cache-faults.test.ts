import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { digestOf } from "../../src/oci/digest.ts";
import { makeModel, serveModel } from "../support/attacks/model-server.ts";
import { openBench, randomBytes, sameBytes } from "../support/attacks/program-run.ts";

const strace = Bun.which("strace");
const bytes = randomBytes(5_000_000, 1);
const model = makeModel([{ name: "a", bytes }]);
const partial = `tmp/sha256-${digestOf(bytes).slice("sha256:".length)}.partial`;

describe.skipIf(strace === null)("a cache whose disk fails (needs strace)", () => {
  test.each(["pwritev,pwrite64,write", "fsync", "ftruncate"])(
    "is gone on without, with a warning (%s)",
    async (calls) => {
      await using server = await serveModel(model);
      using bench = openBench("cache-faults");
      const { code, stderr } = await bench.runUnder(
        [
          strace ?? "",
          "-f",
          "-qq",
          "-o",
          "/dev/null",
          "-P",
          join(bench.cache, partial),
          "-e",
          `inject=${calls}:error=EIO`,
        ],
        ["pull", server.reference, "-o", "models"],
      );
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      expect(stderr).toContain("pulling without the cache");
      expect(stderr).toContain("input/output error");
      expect(sameBytes(bench.path("models/src/weights/a"), bytes)).toBe(true);
    },
  );
});
