import { describe, expect, test } from "bun:test";
import { attackJobs } from "../support/attacks/attack-jobs.ts";
import { attack } from "../support/attacks/attack-runs.ts";
import { mountExt4 } from "../support/attacks/powered-disk.ts";
import { openBench, seeded } from "../support/attacks/program-run.ts";
import { baselineOf, chooseCall, expectRecovery } from "../support/attacks/recovery.ts";
import { changingCalls, hasStrace, runInjected } from "../support/attacks/system-calls.ts";

const probe = hasStrace ? mountExt4() : undefined;
probe?.remove();
const canMount = probe !== undefined;

/** In milliseconds. */
const timeout = 60_000 + attack.runs * 20_000;

describe.skipIf(!canMount)("the power goes at a system call (needs strace and ext4)", () => {
  for (const job of attackJobs) {
    test(
      job.name,
      async () => {
        const next = seeded(attack.seed + 2);
        const baseline = await baselineOf(job, changingCalls);
        for (let count = 0; count < attack.runs; count += 1) {
          const { name, at } = chooseCall(baseline, next);
          const disk = mountExt4();
          if (disk === undefined) throw new Error("a file system could be mounted before");
          try {
            using bench = openBench("power", disk.path);
            await using run = await job.prepare(bench);
            disk.flush();
            // At first nothing but the power fails, right after the end: what was said to be done is done.
            const when = count === 0 ? 65_535 : at;
            const ended = await runInjected(bench, `${name}:signal=KILL:when=${when}`, run.args);
            disk.cutPower();
            if (count === 0) expect(ended.code).toBe(0);
            if (ended.code === 0) await run.expectDone();
            await expectRecovery(bench, run, baseline, `a power cut at ${name} ${at}`);
          } finally {
            disk.remove();
          }
        }
      },
      timeout,
    );
  }
});
