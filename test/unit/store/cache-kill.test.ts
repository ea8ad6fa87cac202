import { expect, test } from "bun:test";
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { digestOf } from "../../../src/oci/digest.ts";
import { childBlobs } from "../../support/store/cache-child.ts";
import { listFiles } from "../../support/store/cache-fixture.ts";
import { startChild } from "../../support/store/cache-process.ts";

const rounds = 50;

/** A number from 0 to 1 that depends on the round alone. */
const moment = (round: number): number => ((round * 2654435761) % 1000) / 1000;

const exists = (path: string): boolean => existsSync(path);

test(
  "a process killed at any moment leaves nothing wrong, and the next one makes it whole",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "ocibundle-kill-"));
    const root = join(directory, "cache");
    const out = join(directory, "out");
    const targets = join(out, "weights");
    const run = (round: number) => startChild(["obtain", root, out, String(round)]);
    try {
      const whole = run(1000);
      await whole.printed("started");
      const started = performance.now();
      await whole.result();
      const duration = performance.now() - started;

      let interrupted = 0;
      for (let round = 0; round < rounds; round += 1) {
        for (const name of exists(targets) ? readdirSync(targets) : []) {
          rmSync(join(targets, name));
        }
        const child = run(round);
        await child.printed("started");
        await sleep(moment(round) * duration);
        child.process.kill("SIGKILL");
        await child.ended;
        if (child.process.signalCode === "SIGKILL") interrupted += 1;

        const weights = childBlobs(round);
        for (const hex of readdirSync(join(root, "blobs", "sha256"))) {
          const bytes = readFileSync(join(root, "blobs", "sha256", hex));
          expect(digestOf(bytes)).toBe(`sha256:${hex}`);
        }
        for (const { name, digest } of weights) {
          const path = join(targets, name);
          if (exists(path)) expect(digestOf(readFileSync(path))).toBe(digest);
        }

        await run(round).result();
        for (const { name, digest } of weights) {
          const path = join(targets, name);
          expect(lstatSync(path).isFile()).toBe(true);
          expect(digestOf(readFileSync(path))).toBe(digest);
        }
        expect(readdirSync(targets).toSorted()).toEqual(weights.map(({ name }) => name));
        expect(listFiles(join(root, "tmp"))).toEqual([]);
        expect(listFiles(join(root, "locks"))).toEqual([]);
      }
      // How long a run takes is only known of the first: a machine that has become faster ends some before.
      expect(interrupted).toBeGreaterThan(rounds / 5);
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
  { timeout: 120_000 },
);
