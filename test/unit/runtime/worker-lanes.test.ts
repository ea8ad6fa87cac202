import { afterAll, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runtime } from "../../../src/runtime/current.ts";
import { laneStarter } from "../../../src/runtime/worker-lanes.ts";
import { createWorkerPool } from "../../../src/runtime/worker-pool.ts";

const never = new AbortController().signal;
const directory = mkdtempSync(join(tmpdir(), "ocibundle-lanes-"));
afterAll(() => rmSync(directory, { recursive: true }));

const content = randomBytes(5 * 1024 * 1024 + 1);
const path = join(directory, "file");
writeFileSync(path, content);
const whole = { hex: createHash("sha256").update(content).digest("hex"), size: content.length };

function following() {
  const front = new BigInt64Array(new SharedArrayBuffer(8));
  return {
    job: { path, size: content.length, algorithm: "sha256" as const, front },
    grow(until: number) {
      Atomics.store(front, 0, BigInt(until));
      Atomics.notify(front, 0);
    },
  };
}

function sharing(threads: number, size: number) {
  let started = 0;
  const start = laneStarter(threads, () => {
    started += 1;
    return runtime.startWorker();
  });
  return { pool: createWorkerPool(size, start), started: () => started };
}

test("files that wait do not keep others of their thread from being followed", async () => {
  const { pool, started } = sharing(2, 6);
  const files = Array.from({ length: 6 }, following);
  const results = files.map(({ job }) => pool.follow(job, { signal: never }));
  for (const file of files.slice(1)) file.grow(content.length);
  expect(await Promise.all(results.slice(1))).toEqual(Array.from({ length: 5 }, () => whole));
  files[0]?.grow(content.length);
  expect(await results[0]).toEqual(whole);
  expect(started()).toBe(2);
  pool.close();
});

test("a file that is no longer wanted leaves the others of its thread alone", async () => {
  const { pool, started } = sharing(1, 2);
  const [first, second] = [following(), following()];
  const stop = new AbortController();
  const dropped = pool.follow(first.job, { signal: stop.signal });
  const kept = pool.follow(second.job, { signal: never });
  second.grow(1_000_000);
  stop.abort(new Error("no longer wanted"));
  await expect(dropped).rejects.toThrow("no longer wanted");
  second.grow(content.length);
  expect(await kept).toEqual(whole);
  const third = following();
  third.grow(content.length);
  expect(await pool.follow(third.job, { signal: never })).toEqual(whole);
  expect(started()).toBe(1);
  pool.close();
});

test("a thread that fails fails all that it follows, and another takes its place", async () => {
  let worker: Worker | undefined;
  const pool = createWorkerPool(
    2,
    laneStarter(1, () => (worker = runtime.startWorker())),
  );
  const results = [following(), following()].map(({ job }) =>
    pool.follow(job, { signal: never }).catch((error: unknown) => String(error)),
  );
  worker?.dispatchEvent(new ErrorEvent("error", { message: "no memory" }));
  for (const result of await Promise.all(results)) expect(result).toContain("no memory");
  worker?.terminate();
  const again = following();
  again.grow(content.length);
  expect(await pool.follow(again.job, { signal: never })).toEqual(whole);
  pool.close();
});
