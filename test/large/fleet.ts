import { expect } from "bun:test";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startDockerRegistry, startEmbeddedRegistry } from "../../scripts/registries.ts";
import { testWith } from "../support/programs/test-with.ts";
import { workbench } from "../support/programs/workbench.ts";

/** Many nodes behind one pull-through cache; run by scripts/nightly.sh. */
const { makeDirectory, ocibundle, shared } = workbench();
const origin = shared(startEmbeddedRegistry);

const nodes = 50;
const size = 20_000_000;

/** Passes requests on to the origin, and counts what blobs it is asked for. */
const counted = shared(async () => {
  const { address } = await origin();
  const asked = { open: 0, bytes: 0 };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch({ url, method, headers }) {
      const { pathname, search } = new URL(url);
      const passed = new Headers(headers);
      passed.delete("host");
      const answer = await fetch(`http://${address}${pathname}${search}`, {
        method,
        headers: passed,
      });
      if (method !== "GET" || !pathname.includes("/blobs/") || answer.body === null) return answer;
      asked.open += 1;
      const count = new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          asked.bytes += chunk.byteLength;
          controller.enqueue(chunk);
        },
        flush() {
          asked.open -= 1;
        },
      });
      return new Response(answer.body.pipeThrough(count), answer);
    },
  });
  return { address: `127.0.0.1:${server.port}`, asked, stop: () => server.stop(true) };
});

const mirror = shared(async (at) =>
  startDockerRegistry(at, { proxy: { remoteurl: `http://${(await counted()).address}` } }),
);

testWith(
  ["docker-registry"],
  `${nodes} nodes that pull at once ask the origin for nothing that one verification has warmed the mirror with`,
  async () => {
    const [{ address }, { asked }] = [await origin(), await counted()];
    const cwd = await makeDirectory("model");
    await writeFile(join(cwd, "weights.bin"), randomBytes(size));
    await ocibundle(["push", `${address}/acme/model:v1`, "./weights.bin", "--no-lock"], { cwd });
    const model = `${(await mirror()).address}/acme/model:v1`;
    const pull = async (cache: string): Promise<void> => {
      const at = await makeDirectory(cache);
      const env = { OCIBUNDLE_CACHE: join(at, "cache") };
      await ocibundle(["pull", model, "-o", join(at, "models"), "-q"], { env });
    };
    await ocibundle(["verify", model]);
    // It asks for a blob once for the client and once for itself, and goes on when the client has it.
    while (asked.open > 0) await Bun.sleep(20);
    const { bytes } = asked;
    expect(bytes).toBeGreaterThanOrEqual(size);
    expect(bytes).toBeLessThan(size * 2.1);
    await Promise.all(Array.from({ length: nodes }, (_, node) => pull(`node-${node}`)));
    expect(asked.bytes).toBe(bytes);
  },
);
