import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../../src/oci/digest.ts";
import { type Behaviour, type BlobServer, serveBlob } from "./blob-server.ts";

const MiB = 1024 * 1024;
const blob = randomBytes(96 * MiB);
const digest = digestOf(blob);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ocibundle-kill-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the child until it ends, or until `killAt` bytes of the blob have gone out; its exit code. */
async function run(server: BlobServer, name: string, killAt?: number): Promise<number | null> {
  const child = Bun.spawn({
    cmd: [
      process.execPath,
      join(import.meta.dir, "pull-child.ts"),
      server.host,
      digest,
      String(blob.length),
      join(folder, `${name}.partial`),
      join(folder, `${name}.journal`),
    ],
    stdout: "inherit",
    stderr: "inherit",
  });
  if (killAt !== undefined) {
    await Promise.race([server.sent(killAt), child.exited]);
    child.kill("SIGKILL");
  }
  await child.exited;
  return child.exitCode;
}

describe("a pull that is killed", () => {
  test.each([0.1, 0.5, 0.9])(
    "after %d of its bytes goes on with little asked twice",
    async (share) => {
      const name = `at-${share}`;
      // Slow enough for the kill to come where it should.
      const first = await serveBlob(blob, (): Behaviour => ({ pause: 2 }));
      expect(await run(first, name, share * blob.length)).toBeNull();
      await first.stop();
      const second = await serveBlob(blob);
      expect(await run(second, name)).toBe(0);
      const twice = second.bytesAsked() - (1 - share) * blob.length;
      await second.stop();
      // What was on the wire, and what was written since the journal's last step.
      expect(twice / blob.length).toBeLessThan(0.02);
      expect(readFileSync(join(folder, `${name}.partial`)).equals(blob)).toBe(true);
      expect(existsSync(join(folder, `${name}.journal`))).toBe(false);
    },
    30_000,
  );

  test("again and again gets there, and leaves nothing else", async () => {
    const name = "often";
    const server = await serveBlob(blob, (): Behaviour => ({ pause: 1 }));
    let kills = 0;
    for (let code: number | null = null; code === null && kills < 50;) {
      const killAt = Math.random() * 0.3 * blob.length;
      server.forget();
      code = await run(server, name, kills < 12 ? killAt : undefined);
      kills += 1;
    }
    await server.stop();
    expect(readFileSync(join(folder, `${name}.partial`)).equals(blob)).toBe(true);
    const left = readdirSync(folder).filter((file) => file.startsWith(name));
    expect(left).toEqual([`${name}.partial`]);
  }, 60_000);
});
