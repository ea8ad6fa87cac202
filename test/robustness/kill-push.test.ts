import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import {
  type PushServer,
  type PushServerOptions,
  servePushes,
} from "../support/attacks/push-server.ts";
import {
  type Bench,
  filesBelow,
  openBench,
  randomBytes,
  seeded,
} from "../support/attacks/program-run.ts";

const MiB = 1024 * 1024;

/** Heads and manifests of one push, in bytes: more than enough. */
const words = 64 * 1024;

interface Weight {
  name: string;
  bytes: Uint8Array;
  digest: Digest;
}

const weight = (name: string, length: number, seed: number): Weight => {
  const bytes = randomBytes(length, seed);
  return { name, bytes, digest: digestOf(bytes) };
};

const large = weight("large", 40 * MiB + 321, 1);
const middle = weight("middle", 9 * MiB + 5, 2);
const small = weight("small", 1000, 3);

const ways: {
  name: string;
  weights: Weight[];
  options: PushServerOptions;
  rounds: number;
}[] = [
  { name: "in chunks", weights: [large, middle, small], options: {}, rounds: 9 },
  {
    name: "in chunks that must not be short",
    weights: [large, middle, small],
    options: { minChunkLength: 7 * MiB },
    rounds: 8,
  },
  // What the registry refuses is found out with the first chunk, so that there is one large weight only.
  { name: "in one PATCH", weights: [large, small], options: { chunks: false }, rounds: 8 },
];

/** How often a push is killed before one is left alone. */
const killsInRound = 2;

/** A bench with weights and their lock. */
async function prepared(weights: readonly Weight[]): Promise<Bench> {
  const bench = openBench("kill-push");
  mkdirSync(bench.path("weights"));
  for (const { name, bytes } of weights) writeFileSync(bench.path("weights", name), bytes);
  await expectRun(bench, ["lock", "weights"]);
  return bench;
}

async function expectRun(bench: Bench, args: readonly string[]): Promise<void> {
  const { code, stderr } = await bench.run(args);
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
}

const model = "/v2/acme/model";

/** What holds at any moment: what the registry has under a digest is right, and what is tagged is whole. */
async function expectNothingWrong({ get }: PushServer, weights: readonly Weight[]): Promise<void> {
  const tagged = (await get(`${model}/manifests/v1`)).status === 200;
  for (const { digest } of weights) {
    const blob = await get(`${model}/blobs/${digest}`);
    if (tagged) expect(blob.status).toBe(200);
    if (blob.status === 200) expect(digestOf(await blob.bytes()) === digest).toBe(true);
  }
}

/**
 * Kills a push at a moment that `next` chooses: before anything or while bytes go out, by how many have
 * arrived; or after the last one, while the registry is told what they are.
 */
async function killOnce(
  bench: Bench,
  { bytesUp, arrived }: PushServer,
  args: readonly string[],
  size: number,
  next: () => number,
): Promise<boolean> {
  const left = Math.max(0, size - bytesUp());
  const late = next() < 0.2;
  const moment = bytesUp() + (late ? left : next() * left);
  const running = bench.start(args);
  await Promise.race([arrived(moment), running.ended]);
  await Bun.sleep(next() * (late ? 60 : 5));
  running.kill("SIGKILL");
  return (await running.ended).signal === "SIGKILL";
}

describe("a push that is killed at any moment leaves nothing wrong, and the next one goes on from there", () => {
  for (const [index, { name, weights, options, rounds }] of ways.entries()) {
    const size = weights.reduce((sum, { bytes }) => sum + bytes.length, 0);
    test.concurrent(
      name,
      async () => {
        using bench = await prepared(weights);
        const next = seeded(index + 1);
        let kills = 0;
        for (let round = 0; round < rounds; round += 1) {
          await using server = await servePushes(options);
          const args = ["push", `${server.host}/acme/model:v1`, "--weights", "weights"];
          let killed = 0;
          for (let more = killsInRound; more > 0; more -= 1) {
            if (await killOnce(bench, server, args, size, next)) killed += 1;
            await expectNothingWrong(server, weights);
          }
          await expectRun(bench, args);
          expect((await server.get(`${model}/manifests/v1`)).status).toBe(200);
          await expectNothingWrong(server, weights);
          const chunk = server.largestChunk();
          // A registry that takes none gets one all the same, from the run that finds that out.
          const once = size + words + (options.chunks === false ? chunk : 0);
          expect(server.bytesUp()).toBeLessThanOrEqual(once + killed * size * 0.05 + chunk);
          expect(filesBelow(join(bench.cache, "tmp"))).toEqual([]);
          kills += killed;
        }
        // A busy machine may let some rounds end before their kill.
        expect(kills).toBeGreaterThan(rounds);
      },
      60_000,
    );
  }
});
