import { type Benchmark, medianOf, ratio } from "./benchmark.ts";
import { type Contestant, compete } from "./measure.ts";
import { present } from "./stage.ts";

/** Enough of these short runs for a steady middle. */
const runs = 21;

/** From nothing to `--version` and out. */
export const start: Benchmark = {
  name: "start",
  async run(stage) {
    const contestants: Contestant[] = [
      stage.ours(["--version"]),
      ...["skopeo", "oras", "crane"]
        .filter(present)
        .map((name) => ({ name, command: [name, name === "skopeo" ? "--version" : "version"] })),
    ];
    const results = await compete("start", 0, contestants, runs);
    const seconds = (name: string) => medianOf(results, name)?.seconds;
    return {
      results,
      figures: ratio("start, time against skopeo", seconds("ocibundle"), seconds("skopeo"), {
        atMost: 1.5,
      }),
    };
  },
};
