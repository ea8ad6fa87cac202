import { describe, expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sampleLayers, writeSampleImage } from "../../scripts/sample-image.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { type CountingWire, openWire } from "../support/attacks/counting-wire.ts";
import { type Bench, filesBelow, openBench, randomBytes } from "../support/attacks/program-run.ts";
import { testWith } from "../support/programs/test-with.ts";
import { realRegistries } from "../support/programs/real-registries.ts";
import { workbench } from "../support/programs/workbench.ts";
import { expectRun } from "../support/attacks/expect-run.ts";

const MiB = 1024 * 1024;

/** The files of the model, by name. */
const weights = {
  large: randomBytes(20 * MiB + 321, 1),
  middle: randomBytes(5 * MiB + 5, 2),
  small: randomBytes(1000, 3),
};
const size = Object.values(weights).reduce((sum, { length }) => sum + length, 0);

/** More than all heads, manifests and layers of the image of one run, in bytes. */
const overhead = 256 * 1024;

const { shared } = workbench();

/** Starts a run and kills it once so many bytes have passed, of which no more are let through. */
async function killAfter(
  bench: Bench,
  wire: CountingWire,
  direction: "up" | "down",
  bytes: number,
  args: readonly string[],
): Promise<void> {
  const limit = wire.bytes(direction) + bytes;
  wire.hold(direction, limit);
  const running = bench.start(args);
  await Promise.race([wire.arrived(direction, limit), running.ended]);
  running.kill("SIGKILL");
  const { signal, stderr } = await running.ended;
  expect({ signal, stderr: signal === "SIGKILL" ? "" : stderr }).toEqual({
    signal: "SIGKILL",
    stderr: "",
  });
  wire.release();
}

/** What must hold at any moment: no file stands under its name with other bytes than its own. */
function expectNothingWrong(target: string): void {
  for (const [name, bytes] of Object.entries(weights)) {
    const path = join(target, "src/weights", name);
    if (existsSync(path)) expect(readFileSync(path).equals(bytes)).toBe(true);
  }
}

const digestIn = (json: string): unknown => (JSON.parse(json) as { digest?: unknown }).digest;

describe.each(realRegistries)("the full round at $name", ({ parts, start }) => {
  const registry = shared(start);

  testWith(parts, "holds, with a push and a pull that are killed in the middle", async () => {
    const { address } = await registry();
    const wire = await openWire(Number(address.slice(address.lastIndexOf(":") + 1)));
    using bench = openBench("round");
    try {
      mkdirSync(bench.path("weights"));
      for (const [name, bytes] of Object.entries(weights)) {
        writeFileSync(bench.path("weights", name), bytes);
      }
      await writeSampleImage(bench.path("image"), "v1", sampleLayers("print('round')\n"));
      await expectRun(bench, ["lock", "weights", "--dest", "/src/weights"]);

      const reference = `127.0.0.1:${wire.port}/acme/round:v1`;
      const image = ["--image", "oci:image:v1"];
      const push = ["push", reference, ...image, "--weights", "weights"];
      await killAfter(bench, wire, "up", size * 0.4, push);
      const broken = await bench.run(["inspect", reference]);
      expect({ code: broken.code, stderr: broken.stderr }).toMatchObject({ code: 3 });
      for (const bytes of Object.values(weights)) {
        const blob = await fetch(`http://${address}/v2/acme/round/blobs/${digestOf(bytes)}`);
        if (blob.ok) expect(digestOf(await blob.bytes()) === digestOf(bytes)).toBe(true);
      }
      await expectRun(bench, push);

      const unchanged = wire.bytes("up");
      await expectRun(bench, push);
      expect(wire.bytes("up") - unchanged).toBeLessThan(overhead);

      await expectRun(bench, ["verify", reference]);
      await expectRun(bench, ["copy", reference, `127.0.0.1:${wire.port}/acme/copied:v1`]);
      await expectRun(bench, ["copy", reference, "oci:layout:v1"]);
      const digests = [];
      for (const source of [reference, `127.0.0.1:${wire.port}/acme/copied:v1`, "oci:layout:v1"]) {
        digests.push(digestIn(await expectRun(bench, ["inspect", source, "--json"])));
      }
      expect(digests[0]).toStartWith("sha256:");
      expect(digests).toEqual([digests[0], digests[0], digests[0]]);

      for (const [target, flags] of [
        ["models", []],
        ["direct", ["--no-cache"]],
      ] as const) {
        const pull = ["pull", reference, "-o", target, ...flags];
        await killAfter(bench, wire, "down", size * 0.4, pull);
        expectNothingWrong(bench.path(target));
        const before = wire.bytes("down");
        await expectRun(bench, pull);
        // On a busy machine a range that comes slowly is asked for once more.
        expect(wire.bytes("down") - before).toBeLessThan(size * 1.1 + overhead);
        expectNothingWrong(bench.path(target));
        await expectRun(bench, ["verify", "weights.lock", "--dir", target]);
        const names = Object.keys(weights).map((name) => `src/weights/${name}`);
        expect(filesBelow(bench.path(target))).toEqual(["src/weights/.cog/ready", ...names]);
      }
      await expectRun(bench, ["cache", "verify"]);
    } finally {
      wire.stop();
    }
  });
});
