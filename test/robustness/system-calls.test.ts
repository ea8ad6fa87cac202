import { describe, expect, test } from "bun:test";
import { attackJobs } from "../support/attacks/attack-jobs.ts";
import { attack } from "../support/attacks/attack-runs.ts";
import { openBench, seeded } from "../support/attacks/program-run.ts";
import { baselineOf, chooseCall, expectRecovery } from "../support/attacks/recovery.ts";
import {
  changingCalls,
  fileSystemErrors,
  hasStrace,
  runInjected,
} from "../support/attacks/system-calls.ts";

/** In milliseconds: a run under strace takes up to a few seconds on a busy machine. */
const timeout = 60_000 + attack.runs * 15_000;

describe.skipIf(!hasStrace)("killed at a system call (needs strace)", () => {
  for (const job of attackJobs) {
    test(
      job.name,
      async () => {
        const next = seeded(attack.seed);
        const baseline = await baselineOf(job, changingCalls);
        let kills = 0;
        for (let count = 0; count < attack.runs; count += 1) {
          // Which thread makes a call changes from run to run: some runs end before their kill.
          for (let killed = false, tries = 0; !killed && tries < 5; tries += 1) {
            const { name, at } = chooseCall(baseline, next);
            using bench = openBench("attack");
            await using run = await job.prepare(bench);
            const { signal } = await runInjected(bench, `${name}:signal=KILL:when=${at}`, run.args);
            killed = signal === "SIGKILL";
            if (killed) kills += 1;
            await expectRecovery(bench, run, baseline, `SIGKILL at ${name} ${at}`);
          }
        }
        expect(kills).toBeGreaterThan(0);
      },
      timeout,
    );
  }
});

describe.skipIf(!hasStrace)("refused a system call (needs strace)", () => {
  for (const job of attackJobs) {
    test(
      job.name,
      async () => {
        const next = seeded(attack.seed + 1);
        const baseline = await baselineOf(job, Object.keys(fileSystemErrors));
        for (let count = 0; count < attack.runs; count += 1) {
          const { name, at } = chooseCall(baseline, next);
          const errors = fileSystemErrors[name] ?? [];
          const error = errors[Math.floor(next() * errors.length)] ?? "EIO";
          const after = `${error} from ${name} ${at}`;
          using bench = openBench("attack");
          await using run = await job.prepare(bench);
          const ended = await runInjected(bench, `${name}:error=${error}:when=${at}`, run.args);
          const { code, signal, stderr } = ended;
          // 1 says that ocibundle has a bug; a refused call is none.
          const reported = code !== null && code !== 1;
          expect({ after, signal, stderr: reported ? "" : stderr }).toEqual({
            after,
            signal: null,
            stderr: "",
          });
          if (code === 0) await run.expectDone();
          await expectRecovery(bench, run, baseline, after);
        }
      },
      timeout,
    );
  }
});
