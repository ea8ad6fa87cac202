import { rm } from "node:fs/promises";
import { join } from "node:path";
import { startEmbeddedRegistry } from "../registries.ts";
import { type Benchmark, medianOf, ratio } from "./benchmark.ts";
import { compete, type Contestant } from "./measure.ts";
import type { Figure } from "./report.ts";
import { againstOras } from "./layouts-peer.ts";
import type { Stage } from "./stage.ts";

const layouts = ["bundle", "modelpack", "cog"] as const;

/** In bytes. */
const memoryLimit = 160e6;

/** One large file in each layout: pulled, and converted from registry to registry. */
export const layoutsBenchmark: Benchmark = {
  name: "layouts",
  async run(stage) {
    const registry = await stage.start(startEmbeddedRegistry(join(stage.directory, "layouts")));
    const cwd = await stage.weights(1, stage.size);
    const at = (layout: string) => `${registry.address}/bench/layout-${layout}:v1`;
    for (const layout of layouts) {
      await stage.run(["push", at(layout), "--weights", "weights", "--layout", layout], cwd);
    }
    const pulled = await compete(
      "pull one file from its layout",
      stage.size,
      layouts.map((layout) => puller(stage, layout, at(layout))),
      stage.runs,
    );
    const converted = await compete(
      "convert one file, registry to registry",
      stage.size,
      ["modelpack", "cog", "image"].map((layout) => converter(stage, layout, at("bundle"))),
      stage.runs,
    );
    const oras = await againstOras(stage, cwd);
    const raw = medianOf(pulled, "bundle");
    const figures: Figure[] = [
      ...ratio(
        "pull from a plain tar layer, speed against a raw layer",
        raw?.seconds,
        medianOf(pulled, "cog")?.seconds,
        {
          atLeast: 0.95,
        },
      ),
      ...ratio(
        "pull from a plain tar layer, peak memory against a raw layer",
        medianOf(pulled, "cog")?.peakBytes,
        raw?.peakBytes,
        {
          atMost: 1.1,
        },
      ),
      ...["cog", "image"].flatMap((layout): Figure[] => {
        const peak = medianOf(converted, layout)?.peakBytes;
        if (peak === undefined) return [];
        const needed = { atMost: memoryLimit / 1e6 };
        return [
          {
            name: `convert bundle to ${layout}, peak memory`,
            value: peak / 1e6,
            needed,
            unit: "MB",
          },
        ];
      }),
    ];
    return {
      results: [...pulled, ...converted, ...oras.results],
      figures: [...figures, ...oras.figures],
    };
  },
};

function puller(stage: Stage, layout: string, reference: string): Contestant {
  const cache = join(stage.directory, "layouts-cache");
  const out = join(stage.directory, "layouts-pulled");
  const env = { XDG_CACHE_HOME: cache };
  return stage.ours(
    async () => {
      await rm(out, { recursive: true, force: true });
      await rm(cache, { recursive: true, force: true });
      return ["pull", reference, "-o", out];
    },
    { name: layout, env },
  );
}

/** Into a repository that has nothing: what can be mounted is mounted. */
function converter(stage: Stage, layout: string, source: string): Contestant {
  let run = 0;
  const env = { XDG_CACHE_HOME: join(stage.directory, "layouts-cache") };
  return stage.ours(
    async () => {
      await rm(env.XDG_CACHE_HOME, { recursive: true, force: true });
      run += 1;
      const [host = ""] = source.split("/");
      return ["copy", source, `${host}/bench/converted-${layout}-${run}:v1`, "--layout", layout];
    },
    { name: layout, env },
  );
}
