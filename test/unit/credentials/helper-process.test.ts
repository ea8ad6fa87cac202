import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runHelper } from "../../../src/credentials/helper-process.ts";
import { errorOf } from "../../support/failure.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ocibundle-helper-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function program(script: string): Promise<string> {
  const path = join(directory, "program");
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

const env = { PATH: process.env["PATH"] ?? "" };

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** The processes whose numbers a program wrote down, so far as they still live. */
async function alive(): Promise<number[]> {
  const numbers = (await readFile(join(directory, "pids"), "utf8")).trim().split("\n").map(Number);
  // What was killed is gone for good when its parent, or init, has looked after it.
  for (let tries = 0; tries < 200 && numbers.some(isAlive); tries++) await sleep(10);
  return numbers.filter(isAlive);
}

describe("a program", () => {
  test("is given a word and its input, and says what it has to say", async () => {
    const path = await program('read line; echo "$1 $line"; exit 3');
    expect(await runHelper(path, "get", "key\n", { env })).toEqual({
      code: 3,
      output: "get key",
      ended: undefined,
    });
  });

  test("that is not there is an error of the system", async () => {
    const failure: unknown = await runHelper(join(directory, "none"), "get", "", { env }).catch(
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ code: "ENOENT" });
  });

  test("that hangs and ignores SIGTERM is killed with its children", async () => {
    const path = await program(
      `trap '' TERM; sleep 300 & echo $! > ${directory}/pids; echo $$ >> ${directory}/pids; while :; do sleep 1; done`,
    );
    const began = performance.now();
    expect((await runHelper(path, "get", "", { env, timeout: 500 })).ended).toBe("timeout");
    expect(performance.now() - began).toBeLessThan(20_000);
    expect(await alive()).toEqual([]);
  });

  test("that never stops writing is ended", async () => {
    const path = await program(`echo $$ > ${directory}/pids; exec cat /dev/zero`);
    expect((await runHelper(path, "get", "", { env })).ended).toBe("too long");
    expect(await alive()).toEqual([]);
  });

  test("whose child keeps its output open is not waited for", async () => {
    const path = await program(
      `echo answer; (trap '' TERM; echo $$ > /dev/null; exec sleep 300) & echo $! > ${directory}/pids`,
    );
    const end = await runHelper(path, "get", "", { env });
    expect(end).toEqual({ code: 0, output: "answer", ended: undefined });
    expect(await alive()).toEqual([]);
  });

  test("that hangs is killed by an interruption, before the run ends", async () => {
    const path = await program(
      `trap '' TERM; echo $$ > ${directory}/pids; while :; do sleep 1; done`,
    );
    const controller = new AbortController();
    const reason = new Error("enough");
    const running = errorOf(runHelper(path, "get", "", { env, signal: controller.signal }));
    while (!(await readFile(join(directory, "pids"), "utf8").catch(() => "")).endsWith("\n")) {
      await sleep(5);
    }
    controller.abort(reason);
    expect(await running).toBe(reason);
    expect(await alive()).toEqual([]);
  });
});
