import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startEmbeddedRegistry } from "../../scripts/registries.ts";
import { workbench } from "../support/programs/workbench.ts";
import { isLeftOut, ofRelease } from "../support/release.ts";

const arm64Libraries = "/usr/aarch64-linux-gnu";

interface Foreign {
  target: string;
  /** What starts a program of that platform here. */
  command: string[];
  /** What must be there for that. */
  needs: string[];
}

const platforms: Foreign[] = [
  {
    target: "linux-amd64-baseline",
    // A processor of 2008: no AVX, no AVX2.
    command: [Bun.which("qemu-x86_64") ?? "qemu-x86_64", "-cpu", "Nehalem"],
    needs: [Bun.which("qemu-x86_64") ?? "qemu-x86_64"],
  },
  {
    target: "linux-arm64",
    command: [Bun.which("qemu-aarch64") ?? "qemu-aarch64", "-L", arm64Libraries],
    needs: [Bun.which("qemu-aarch64") ?? "qemu-aarch64", arm64Libraries],
  },
];

const { makeDirectory, ocibundle, run, shared } = workbench();
const registry = shared((at) => startEmbeddedRegistry(at));

describe("a binary of a release for another platform", () => {
  for (const { target, command, needs } of platforms) {
    const archive = ofRelease(`ocibundle-${target}.tar.gz`);
    const missing = [archive, ...needs].filter(isLeftOut);
    const lacking = missing.length === 0 ? "" : ` (there is no ${missing.join(", no ")})`;
    test.skipIf(missing.length > 0)(
      `goes the whole round: ${target}${lacking}`,
      async () => {
        const cwd = await makeDirectory("foreign");
        await run(["tar", "-xzf", archive, "ocibundle"], { cwd });
        const foreign = (...args: string[]) =>
          run([...command, join(cwd, "ocibundle"), ...args], { cwd });
        const { address } = await registry();
        const reference = `${address}/acme/${target}:v1`;
        mkdirSync(join(cwd, "weights"));
        writeFileSync(join(cwd, "weights/a.bin"), Buffer.alloc(9_000_000, "weights "));
        writeFileSync(join(cwd, "weights/b.bin"), "b");
        // It writes the lock too: what is emulated takes seconds to start.
        await foreign("push", reference, "weights");
        await foreign("pull", reference, "-o", "models");
        await foreign("verify", "weights.lock", "--dir", "models");
        // What it says is right, this machine's own program finds right too.
        await ocibundle(["verify", "weights.lock", "--dir", "models"], { cwd });
        await ocibundle(["verify", reference]);
        expect(existsSync(join(cwd, "models/src/weights/b.bin"))).toBe(true);
      },
      300_000,
    );
  }
});
