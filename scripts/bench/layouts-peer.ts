import { rm } from "node:fs/promises";
import { join } from "node:path";
import { findPart } from "../parts.ts";
import { startDistribution3 } from "../registries.ts";
import { medianOf, type Outcome, ratio } from "./benchmark.ts";
import { compete, type Contestant } from "./measure.ts";
import { type Stage, startLink } from "./stage.ts";

const layouts = ["modelpack", "cog"] as const;

/** What the slow link gives each connection, in bytes a second. */
const connectionRate = 50e6;

/**
 * One file in layouts of other tools, pulled from distribution 3, against `oras cp` of the same blobs to a layout, until
 * all is on the disk: as fast as the machine can, and over a link that limits each connection.
 */
export async function againstOras(stage: Stage, cwd: string): Promise<Outcome> {
  const missing = ["oras", "distribution"].filter((name) => findPart(name) === null);
  if (missing.length > 0) {
    console.error(`layouts: ${missing.join(" and ")} not on the PATH: not compared with oras`);
    return { results: [], figures: [] };
  }
  const registry = await stage.start(startDistribution3(join(stage.directory, "distribution")));
  const link = await stage.start(startLink(registry.address, "connection", connectionRate));
  const outcome: Outcome = { results: [], figures: [] };
  for (const layout of layouts) {
    const name = `bench/peer-${layout}:v1`;
    const pushed = `${registry.address}/${name}`;
    await stage.run(["push", pushed, "--weights", "weights", "--layout", layout], cwd);
    for (const { address, how, atLeast } of [
      { ...registry, how: "", atLeast: 1 },
      { ...link, how: ", 50 MB/s per connection", atLeast: 3 },
    ]) {
      const reference = `${address}/${name}`;
      const title = `pull ${layout}, until synced${how}`;
      const contestants = [ours(stage, reference), oras(stage, reference)];
      const results = await compete(title, stage.size, contestants, stage.runs);
      const seconds = (who: string) => medianOf(results, who)?.seconds;
      outcome.results.push(...results);
      outcome.figures.push(
        ...ratio(
          `pull of ${layout}, speed against oras${how}`,
          seconds("oras"),
          seconds("ocibundle"),
          { atLeast },
        ),
      );
    }
  }
  return outcome;
}

function ours(stage: Stage, reference: string): Contestant {
  const out = join(stage.directory, "peer-ours");
  const env = { XDG_CACHE_HOME: join(stage.directory, "peer-cache") };
  return stage.ours(
    async () => {
      await rm(out, { recursive: true, force: true });
      await rm(env.XDG_CACHE_HOME, { recursive: true, force: true });
      return ["pull", reference, "-o", out];
    },
    { env, untilSynced: true },
  );
}

function oras(stage: Stage, reference: string): Contestant {
  const out = join(stage.directory, "peer-oras");
  return {
    name: "oras",
    untilSynced: true,
    command: async () => {
      await rm(out, { recursive: true, force: true });
      const options = ["--no-tty", "--from-plain-http", "--to-oci-layout"];
      return [findPart("oras") ?? "oras", "cp", ...options, reference, `${out}:v1`];
    },
  };
}
