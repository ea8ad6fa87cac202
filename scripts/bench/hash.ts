import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Benchmark, medianOf, ratio } from "./benchmark.ts";
import { type Contestant, type Result, compete } from "./measure.ts";
import { type Stage, present, weightFiles } from "./stage.ts";

/** Locking one and two large files that were never seen before, against `openssl dgst -sha256`. */
export const hash: Benchmark = {
  name: "hash",
  async run(stage) {
    const one = await round(stage, 1);
    const two = await round(stage, 2);
    const ours = medianOf(one, "ocibundle")?.seconds;
    const both = medianOf(two, "ocibundle")?.seconds;
    const peer = medianOf(one, "openssl")?.seconds;
    return {
      results: [...one, ...two],
      figures: [
        ...ratio("hash of one file, speed against openssl", peer, ours, { atLeast: 0.9 }),
        ...ratio("hash of two files, speed against one", ours && 2 * ours, both, { atLeast: 1.7 }),
      ],
    };
  },
};

async function round(stage: Stage, count: number): Promise<Result[]> {
  const cwd = await stage.weights(count, stage.size);
  const lock = join(cwd, "fresh.lock");
  const cache = join(cwd, "fresh-cache");
  const contestants: Contestant[] = [
    stage.ours(
      async () => {
        // Neither the lock nor what is remembered of the files may spare the work.
        await rm(lock, { force: true });
        await rm(cache, { recursive: true, force: true });
        return ["lock", "weights", "--dest", "/cache", "-o", lock];
      },
      { cwd, env: { XDG_CACHE_HOME: cache } },
    ),
  ];
  if (present("openssl")) {
    const files = await weightFiles(cwd);
    contestants.push({ name: "openssl", command: ["openssl", "dgst", "-sha256", ...files] });
  }
  return await compete(
    `hash ${count} file${count === 1 ? "" : "s"}`,
    count * stage.size,
    contestants,
    stage.runs,
  );
}
