import { join } from "node:path";
import { startEmbeddedRegistry } from "../registries.ts";
import { type Benchmark, medianOf } from "./benchmark.ts";
import { compete } from "./measure.ts";

const files = 100;
const fileBytes = 2 ** 20;

/** The second push of a model with 100 weight files that nobody changed. */
export const unchanged: Benchmark = {
  name: "unchanged",
  async run(stage) {
    const cwd = await stage.weights(files, fileBytes);
    const { address } = await stage.start(
      startEmbeddedRegistry(join(stage.directory, "unchanged-registry")),
    );
    const push = ["push", `${address}/bench/unchanged:v1`, "--weights", "weights", "--json"];
    await stage.run(push, cwd);
    const again = stage.ours(push, {
      cwd,
      check: (stdout) => {
        const { sent } = JSON.parse(stdout) as { sent: { blobs: number } };
        if (sent.blobs !== 0) throw new Error(`the second push sent ${sent.blobs} blobs`);
        return Promise.resolve();
      },
    });
    const results = await compete("second push, 100 files", 0, [again], Math.max(5, stage.runs));
    const ours = medianOf(results, "ocibundle");
    if (ours === undefined) return { results, figures: [] };
    return {
      results,
      figures: [
        {
          name: "second push of an unchanged model with 100 weight files",
          value: ours.seconds,
          needed: { atMost: 0.5 },
          unit: "s",
        },
      ],
    };
  },
};
