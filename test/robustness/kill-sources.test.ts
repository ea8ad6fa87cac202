import { describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../src/oci/digest.ts";
import { startHub } from "../support/sources/hub.ts";
import { startS3 } from "../support/sources/s3.ts";
import { type PushServer, servePushes } from "../support/attacks/push-server.ts";
import { filesBelow, openBench, randomBytes, seeded } from "../support/attacks/program-run.ts";

const MiB = 1024 * 1024;

/** Heads and manifests of one push, in bytes: more than enough. */
const words = 64 * 1024;

const files = {
  "large.bin": randomBytes(40 * MiB + 321, 1),
  "middle.bin": randomBytes(9 * MiB + 5, 2),
  "small.bin": randomBytes(1000, 3),
};
const size = Object.values(files).reduce((sum, { length }) => sum + length, 0);
const repository = "/v2/acme/model";

/** Moments at which a push is killed; `scripts/nightly.sh` asks for more. */
const kills = Number(process.env["OCIBUNDLE_SOURCE_KILLS"] ?? 1);

const secret = "verysecretkey";

const sources = {
  "hf://acme/tiny": async () => {
    const hub = await startHub(files);
    return { env: { HF_ENDPOINT: hub.endpoint }, close: () => hub.close() };
  },
  "s3://models": async () => {
    const store = await startS3(files);
    const env = {
      AWS_ENDPOINT_URL: store.endpoint,
      AWS_ACCESS_KEY_ID: "AKIDTEST",
      AWS_SECRET_ACCESS_KEY: secret,
    };
    return { env, close: () => store.close() };
  },
};

/** What holds at any moment: a blob that is there is right, and a tag stands for all of them. */
async function expectNothingWrong({ get }: PushServer): Promise<void> {
  const tagged = (await get(`${repository}/manifests/v1`)).status === 200;
  for (const bytes of Object.values(files)) {
    const blob = await get(`${repository}/blobs/${digestOf(bytes)}`);
    if (tagged) expect(blob.status).toBe(200);
    if (blob.status === 200) expect(digestOf(await blob.bytes())).toBe(digestOf(bytes));
  }
}

describe("a push from elsewhere that is killed at any moment leaves nothing wrong, and is resumed", () => {
  for (const [source, start] of Object.entries(sources)) {
    test.concurrent(
      source,
      async () => {
        const { env, close } = await start();
        const next = seeded(source.length);
        try {
          for (let kill = 0; kill < kills; kill += 1) {
            using bench = openBench("kill-sources");
            await using server = await servePushes({});
            const args = ["push", `${server.host}/acme/model:v1`, source, "--no-lock"];
            const running = bench.start(args, env);
            await Promise.race([server.arrived(next() * size), running.ended]);
            await Bun.sleep(next() * 5);
            running.kill("SIGKILL");
            await running.ended;
            await expectNothingWrong(server);
            const { code, stderr } = await bench.run(args, env);
            expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
            expect((await server.get(`${repository}/manifests/v1`)).status).toBe(200);
            await expectNothingWrong(server);
            expect(server.bytesUp()).toBeLessThanOrEqual(
              size * 1.1 + server.largestChunk() + words,
            );
            // The cache has records, and no weights.
            const kept = filesBelow(bench.cache).map(
              (path) => statSync(join(bench.cache, path)).size,
            );
            expect(Math.max(...kept)).toBeLessThan(MiB);
          }
        } finally {
          await close();
        }
      },
      kills * 60_000,
    );
  }
});
