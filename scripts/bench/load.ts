import { join } from "node:path";
import { fullCrowd, gatherCrowd, serverMemoryLimit } from "../crowd.ts";
import { peakMemory } from "../peak-memory.ts";
import { startEmbeddedRegistry } from "../registries.ts";
import type { Benchmark } from "./benchmark.ts";
import { processorSeconds } from "./measure.ts";

const { pushes, pulls } = fullCrowd;
const title = `${pushes} pushes and ${pulls} pulls at once`;

/** Many clients at the same moment, whatever their number of runs: what the server takes, and that none fails. */
export const load: Benchmark = {
  name: "load",
  async run(stage) {
    const { address, pid } = await stage.start(
      startEmbeddedRegistry(join(stage.directory, "load")),
    );
    const before = processorSeconds(pid) ?? 0;
    const { members, seconds, bytes } = await gatherCrowd(stage.directory, address, fullCrowd);
    const run = {
      seconds,
      cpuSeconds: (processorSeconds(pid) ?? 0) - before,
      peakBytes: peakMemory(pid),
    };
    const failed = members.filter(({ code }) => code !== 0);
    for (const { code, stderr } of failed) console.error(`exited with ${code}: ${stderr}`);
    return {
      results: [
        { benchmark: title, contestant: "embedded registry", bytes, runs: [run], median: run },
      ],
      figures: [
        { name: `${title}: failed`, value: failed.length, needed: { atMost: 0 }, unit: "" },
        ...(run.peakBytes === undefined
          ? []
          : [
              {
                name: `${title}: peak memory of the server`,
                value: run.peakBytes / 1e6,
                needed: { atMost: serverMemoryLimit / 1e6 },
                unit: "MB",
              },
            ]),
      ],
    };
  },
};
