import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OcibundleError } from "../../../../src/errors.ts";
import { LockUnavailable, tryLockFile } from "../../../../src/store/locks/lock-file.ts";
import { lockFile } from "../../../../src/store/locks/wait-for-lock.ts";
import { type LockHolder, lockHolder } from "../../../../src/store/locks/lock-holder.ts";
import { type CacheChild, startChild } from "../../../support/store/cache-process.ts";

/** Holds up each system call of a name, for a millisecond. */
const late = (call: string): string[] => ["-e", `inject=${call}:delay_enter=1000`];

let directory: string;
let path: string;
let children: CacheChild[];
const { signal } = new AbortController();
/** Whether system calls of a process can be slowed down here. */
const canTrace = Bun.spawnSync(["sh", "-c", "strace -o /dev/null true"]).success;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-lock-"));
  path = join(directory, "lock");
  children = [];
});

afterEach(async () => {
  for (const child of children) {
    child.process.kill("SIGKILL");
    await child.ended;
  }
  rmSync(directory, { recursive: true });
});

const hold = async (mode: "shared" | "exclusive"): Promise<CacheChild> => {
  const child = startChild(["lock", path, mode]);
  children.push(child);
  await child.printed("locked");
  return child;
};

describe("between processes", () => {
  test("an exclusive lock keeps others out, shared or not, until it is released", async () => {
    const child = await hold("exclusive");
    expect(tryLockFile(path)).toBeUndefined();
    expect(tryLockFile(path, { shared: true })).toBeUndefined();
    child.process.stdin?.end();
    await child.result();
    const lock = tryLockFile(path);
    expect(lock).toBeDefined();
    lock?.release();
  });

  test("a shared lock lets others share it and keeps out who wants it alone", async () => {
    await hold("shared");
    const shared = tryLockFile(path, { shared: true });
    expect(shared).toBeDefined();
    expect(tryLockFile(path)).toBeUndefined();
    shared?.release();
    expect(tryLockFile(path)).toBeUndefined();
  });

  test("a lock is gone with a process that is killed", async () => {
    const child = await hold("exclusive");
    const waiting = lockFile(path, { signal });
    child.process.kill("SIGKILL");
    (await waiting).release();
    expect(readdirSync(directory)).toEqual([]);
  });

  test("of several processes, one at a time has it", async () => {
    const counter = join(directory, "counter");
    await Bun.write(counter, "0");
    const counting = [0, 1, 2].map(() => startChild(["count", path, counter, "50"]));
    children.push(...counting);
    await Promise.all(counting.map((child) => child.result()));
    expect(await Bun.file(counter).text()).toBe("150");
    expect(readdirSync(directory)).toEqual(["counter"]);
  });

  test.skipIf(!canTrace)(
    "one that is held up at each step takes no removed file's lock",
    async () => {
      const counter = join(directory, "counter");
      await Bun.write(counter, "0");
      const under = ["strace", "-f", "-o", "/dev/null", "-P", path, "-e", "trace=openat,fcntl"];
      const counting = [
        startChild(["count", path, counter, "2000"]),
        startChild(["count", path, counter, "50"], {
          under: [...under, ...late("openat"), ...late("fcntl")],
        }),
      ];
      children.push(...counting);
      await Promise.all(counting.map((child) => child.result()));
      expect(await Bun.file(counter).text()).toBe("2050");
      expect(readdirSync(directory)).toEqual(["counter"]);
    },
  );

  test("who waits is told once whom for", async () => {
    const child = await hold("exclusive");
    const told: (LockHolder | undefined)[] = [];
    const waiting = lockFile(path, {
      signal,
      onWait: (holder) => {
        told.push(holder);
        child.process.stdin?.end();
      },
    });
    (await waiting).release();
    expect(told).toHaveLength(1);
    expect(told[0]?.pid).toBe(child.process.pid);
  });

  test("waiting ends with the signal's reason", async () => {
    await hold("exclusive");
    const controller = new AbortController();
    const reason = new OcibundleError("interrupted", "interrupted");
    const waiting = lockFile(path, {
      signal: controller.signal,
      onWait: () => controller.abort(reason),
    });
    await expect(waiting).rejects.toBe(reason);
  });
});

describe("within a process", () => {
  test("the same rules hold", () => {
    const lock = tryLockFile(path);
    expect(tryLockFile(path)).toBeUndefined();
    expect(tryLockFile(path, { shared: true })).toBeUndefined();
    lock?.release();
    const one = tryLockFile(path, { shared: true });
    const two = tryLockFile(path, { shared: true });
    expect([one, two]).not.toContain(undefined);
    expect(tryLockFile(path)).toBeUndefined();
    one?.release();
    expect(tryLockFile(path)).toBeUndefined();
    two?.release();
    const again = tryLockFile(path);
    expect(again).toBeDefined();
    again?.release();
  });

  test("asking for a lock that this process holds does not lose it to others", async () => {
    const lock = tryLockFile(path);
    expect(tryLockFile(path)).toBeUndefined();
    const child = startChild(["lock", path, "exclusive"]);
    children.push(child);
    let released = false;
    const waiting = lockFile(path, {
      signal,
      onWait: () => {
        released = true;
        lock?.release();
      },
    });
    const first = await Promise.race([
      child.printed("locked").then(() => "child" as const),
      waiting.then(() => "here" as const),
    ]);
    expect(released).toBe(true);
    child.process.stdin?.end();
    if (first === "child") await child.result();
    (await waiting).release();
  });

  test("one that is shared afterwards lets others share it, and nobody have it alone", () => {
    const lock = tryLockFile(path);
    expect(lock?.share()).toBe(true);
    expect(tryLockFile(path)).toBeUndefined();
    const other = tryLockFile(path, { shared: true });
    expect(other).toBeDefined();
    lock?.release();
    expect(tryLockFile(path)).toBeUndefined();
    other?.release();
    expect(readdirSync(directory)).toEqual([]);
  });

  test("of many that want it, one at a time has it", async () => {
    let inside = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const lock = await lockFile(path, { signal });
        inside += 1;
        most = Math.max(most, inside);
        await new Promise(setImmediate);
        inside -= 1;
        lock.release();
      }),
    );
    expect(most).toBe(1);
    expect(readdirSync(directory)).toEqual([]);
  });

  test("released twice is released once", () => {
    const lock = tryLockFile(path);
    lock?.release();
    const other = tryLockFile(path);
    lock?.release();
    expect(tryLockFile(path)).toBeUndefined();
    other?.release();
    expect(existsSync(path)).toBe(false);
  });
});

test("a lock in a directory that is not there says so by its type", () => {
  expect(() => tryLockFile(join(directory, "missing", "lock"))).toThrow(LockUnavailable);
});

test("a holder's note that is damaged is no holder", async () => {
  await Bun.write(`${path}.holder`, "{");
  expect(lockHolder(path)).toBeUndefined();
});
