import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../../src/oci/digest.ts";
import { type BlobServer, serveBlob } from "../../support/registry/blob-server.ts";
import type { Behaviour } from "../../support/registry/blob-answer.ts";

const MiB = 1024 * 1024;
const blob = randomBytes(96 * MiB);
const digest = digestOf(blob);

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-kill-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

function start(server: BlobServer, name: string, dieAt?: number, how: string[] = []) {
  return Bun.spawn({
    cmd: [
      process.execPath,
      join(import.meta.dir, "../../support/registry/pull-child.ts"),
      server.host,
      digest,
      String(blob.length),
      join(directory, `${name}.partial`),
      join(directory, `${name}.journal`),
      ...(dieAt === undefined ? [] : [String(dieAt), ...how]),
    ],
    stdout: "inherit",
    stderr: "inherit",
  });
}

describe("a pull that is killed", () => {
  test.each([
    [0.1, []],
    [0.5, []],
    [0.9, []],
    [0.5, ["recent"]],
  ])(
    "after %d of its bytes goes on with little asked twice (%p)",
    async (share, how) => {
      const name = `at-${share}-${how.join("-")}`;
      const server = await serveBlob(blob);
      const killed = start(server, name, share * blob.length, how);
      await killed.exited;
      expect(killed.signalCode).toBe("SIGKILL");
      const before = server.bytesAsked();
      expect(await start(server, name).exited).toBe(0);
      const asked = server.bytesAsked() - before;
      await server.stop();
      // What was written since the journal's last step is asked for again.
      expect(asked / blob.length).toBeLessThan(1 - share + 0.02);
      expect(readFileSync(join(directory, `${name}.partial`)).equals(blob)).toBe(true);
      expect(existsSync(join(directory, `${name}.journal`))).toBe(false);
    },
    30_000,
  );

  test("again and again gets there, and leaves nothing else", async () => {
    const name = "often";
    const server = await serveBlob(blob, (): Behaviour => ({ pause: 1 }));
    for (let kills = 0, done = false; !done; kills += 1) {
      const child = start(server, name);
      if (kills < 12) {
        server.forget();
        await Promise.race([server.sent(Math.random() * 0.3 * blob.length), child.exited]);
        child.kill("SIGKILL");
      }
      done = (await child.exited) === 0;
    }
    await server.stop();
    expect(readFileSync(join(directory, `${name}.partial`)).equals(blob)).toBe(true);
    const left = readdirSync(directory).filter((file) => file.startsWith(name));
    expect(left).toEqual([`${name}.partial`]);
  }, 60_000);
});
