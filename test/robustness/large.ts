import { describe, expect, test } from "bun:test";
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { startEmbeddedRegistry } from "../../scripts/registries.ts";
import { workbench } from "../support/programs/workbench.ts";
import { randomBytes } from "../support/attacks/program-run.ts";

/** Sizes past 2^32, which is what libraries get wrong; too slow for every change. */
const size = Number(process.env["OCIBUNDLE_LARGE_BYTES"] ?? 20_000_000_000);
if (!Number.isSafeInteger(size) || size < 1) {
  throw new Error("OCIBUNDLE_LARGE_BYTES is not a positive whole number");
}

const MiB = 1024 * 1024;

/** Every so often a file has bytes that are not zero. */
const stride = 256 * MiB;

const { makeDirectory, ocibundle, shared } = workbench();
const registry = shared((at) => startEmbeddedRegistry(at));

/** A sparse file with some noise in it, also at its very end. */
function writeSparse(path: string, length: number, seed: number): void {
  const file = openSync(path, "w");
  ftruncateSync(file, length);
  const noise = randomBytes(MiB, seed);
  for (let at = 0; at < length; at += stride)
    writeSync(file, noise, 0, Math.min(MiB, length - at), at);
  writeSync(file, noise, 0, 1000, Math.max(0, length - 1000));
  closeSync(file);
}

describe("a file that is large", () => {
  test.each([
    ["by default", []],
    ["as it is", ["--compression", "none"]],
    ["as zstd", ["--compression", "zstd"]],
    ["as gzip", ["--compression", "gzip"]],
  ] as const)("goes the whole way %s", async (name, flags) => {
    const cwd = await makeDirectory("large");
    try {
      const { address } = await registry();
      const run = (...args: string[]) => ocibundle(args, { cwd });
      mkdirSync(join(cwd, "weights"));
      writeSparse(join(cwd, "weights/model.bin"), size, 1);
      const reference = `${address}/acme/large-${name.replaceAll(" ", "-")}:v1`;
      await run("lock", "weights", "--dest", "/src/weights", ...flags);
      await run("push", reference, "--weights", "weights");
      await run("verify", reference);
      await run("copy", reference, "oci-archive:model.tar:v1");
      await run("verify", "oci-archive:model.tar:v1");
      await run("pull", "oci-archive:model.tar:v1", "-o", "from-archive", "--no-cache");
      rmSync(join(cwd, "model.tar"));
      await run("verify", "weights.lock", "--dir", "from-archive");
      rmSync(join(cwd, "from-archive"), { recursive: true });
      await run("pull", reference, "-o", "models", "--no-cache");
      await run("verify", "weights.lock", "--dir", "models");
      expect(statSync(join(cwd, "models/src/weights/model.bin")).size).toBe(size);
    } finally {
      rmSync(cwd, { recursive: true });
    }
  });
});
