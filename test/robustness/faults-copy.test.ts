import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import pLimit from "p-limit";
import { createEmbeddedRegistry } from "../../src/harness/registry/routes/registry.ts";
import { type Asked, makeModel, serveModel } from "../support/attacks/model-server.ts";
import type { Behaviour } from "../support/registry/blob-answer.ts";
import { type Bench, filesBelow, openBench, randomBytes } from "../support/attacks/program-run.ts";
import { expectSuccess } from "../support/attacks/expect-run.ts";
import { promptly } from "../support/promptly.ts";

const MiB = 1024 * 1024;
const bytes = randomBytes(6 * MiB + 321, 61);
const other = randomBytes(6 * MiB + 321, 62);
const model = makeModel([
  { name: "large", bytes },
  { name: "small", bytes: randomBytes(1000, 63) },
]);

/** Programs at once: each hashes and writes, and the machine has other things to do. */
const limit = pLimit(4);

const tryOut = (name: string, body: () => Promise<void>): void =>
  test.concurrent(name, () => limit(body), 60_000);

const isLarge = ({ digest }: Asked): boolean => digest === largeDigest;
const largeDigest = [...model.blobs].find(([, blob]) => blob === bytes)?.[0] ?? "";

const large =
  (behave: (asked: Asked) => Behaviour) =>
  (asked: Asked): Behaviour =>
    isLarge(asked) ? behave(asked) : {};

/** A behaviour for the first so many GETs of the large blob. */
function first(count: number, behaviour: Behaviour): () => (asked: Asked) => Behaviour {
  return () => {
    let left = count;
    return large(() => (left-- > 0 ? behaviour : {}));
  };
}

/** Faults that are got over; each run has a server of its own, and a behaviour that counts anew. */
const overcome: Record<string, () => (asked: Asked) => Behaviour> = {
  "closes after every 2 MB": () => large(() => ({ cutAfter: 2e6 })),
  "closes its first connections without a byte": first(2, { cutAfter: 0 }),
  "sends too little at first": first(2, { short: 5000 }),
  "answers 503 at first": first(3, { status: 503, headers: { "retry-after": "0" } }),
  "lies in the Content-Range of what it is gone on with": () => {
    let asked = 0;
    const lie: Behaviour = { contentRange: `bytes 5-100/${bytes.length}` };
    return large(() => (asked++ === 0 ? { cutAfter: 2e6 } : asked === 2 ? lie : {}));
  },
  "answers 200 with everything to the Range it is gone on with": () => {
    let asked = 0;
    return large(() => (asked++ === 0 ? { cutAfter: 2e6 } : { ignoreRange: true }));
  },
};

/** Faults that are no blob of the model's, whatever is tried. */
const fatal: Record<string, { behave: () => (asked: Asked) => Behaviour; says: RegExp }> = {
  "sends other bytes": {
    behave: () => large(() => ({ blob: other })),
    says: /digest/,
  },
  "goes on with other bytes where it was broken off": {
    behave: () => {
      let asked = 0;
      return large(() => (asked++ === 0 ? { cutAfter: 2e6 } : { blob: other }));
    },
    says: /digest/,
  },
};

/** Where a model is copied to, and what is left there of a copy that failed. */
const targets: Record<string, { to: string; left(bench: Bench): string[] }> = {
  "to a layout": {
    to: "oci:layout:v1",
    left: (bench) =>
      filesBelow(bench.path("layout")).filter(
        (name) => name.startsWith(".") || name.includes(largeDigest.slice(7)),
      ),
  },
  "to an archive": {
    to: "oci-archive:model.tar:v1",
    left: (bench) => filesBelow(bench.directory).filter((name) => name.startsWith("model.tar")),
  },
};

describe("a registry that", () => {
  for (const [index, [fault, behave]] of Object.entries(overcome).entries()) {
    // Where a copy goes to is not what these faults are about: they take turns.
    const where = [...Object.keys(targets), "to a registry"][index % 3] ?? "";
    tryOut(`${fault} is copied from all the same, ${where}`, async () => {
      await using server = await serveModel(model, behave());
      using bench = openBench("faults-copy");
      await using registry = await registryIn(bench);
      const to = targets[where]?.to ?? registry.to;
      expectSuccess(await bench.run(["copy", server.reference, to]));
      expectSuccess(await bench.run(["verify", to]));
    });
    tryOut(`${fault} is verified all the same`, async () => {
      await using server = await serveModel(model, behave());
      using bench = openBench("faults-copy");
      expectSuccess(await bench.run(["verify", server.reference]));
    });
  }

  for (const [fault, { behave, says }] of Object.entries(fatal)) {
    for (const [where, { to, left }] of Object.entries(targets)) {
      tryOut(`${fault} is found out by a copy ${where}, and nothing is left of it`, async () => {
        await using server = await serveModel(model, behave());
        using bench = openBench("faults-copy");
        const { code, stderr } = await bench.run(["copy", server.reference, to]);
        expect(stderr).toMatch(/weight "large": /);
        expect(stderr).toMatch(says);
        expect(stderr).toMatch(/\nhint: /);
        expect(code).toBe(5);
        expect(left(bench)).toEqual([]);
      });
    }
    tryOut(`${fault} is found out by a copy to a registry, which gets no tag`, async () => {
      await using server = await serveModel(model, behave());
      using bench = openBench("faults-copy");
      await using target = await registryIn(bench);
      const { code, stderr } = await bench.run(["copy", server.reference, target.to]);
      expect(stderr).toMatch(/weight "large": /);
      expect(stderr).toMatch(says);
      expect(code).toBe(5);
      expect((await fetch(target.manifest)).status).toBe(404);
    });
    tryOut(`${fault} is found out by verify, which names the file`, async () => {
      await using server = await serveModel(model, behave());
      using bench = openBench("faults-copy");
      const { code, stdout } = await bench.run(["verify", server.reference]);
      expect(stdout).toMatch(/^differs +large +digest is sha256:/m);
      expect(stdout).not.toMatch(/small/);
      expect(code).toBe(5);
    });
  }

  tryOut("sends too much is not believed", async () => {
    await using server = await serveModel(
      model,
      large(() => ({ extra: 70_000 })),
    );
    using bench = openBench("faults-copy");
    for (const { to, left } of Object.values(targets)) {
      const { code } = await bench.run(["copy", server.reference, to]);
      if (code === 0) expectSuccess(await bench.run(["verify", to]));
      else expect({ code, left: left(bench) }).toEqual({ code: 5, left: [] });
    }
  });

  tryOut("stalls for ever does not keep copy and verify from ending within a second", async () => {
    await using server = await serveModel(
      model,
      large(() => ({ stallAfter: MiB })),
    );
    using bench = openBench("faults-copy");
    for (const args of [
      ["copy", server.reference, "oci:layout:v1"],
      ["copy", server.reference, "oci-archive:model.tar:v1"],
      ["verify", server.reference],
    ]) {
      server.forget();
      const running = bench.start(args);
      await server.sent(MiB);
      const asked = performance.now();
      running.kill("SIGTERM");
      expect((await running.ended).code).toBe(143);
      expect(performance.now() - asked).toBeLessThan(promptly);
    }
    expect(existsSync(bench.path("model.tar"))).toBe(false);
    server.behave = () => ({});
    expectSuccess(await bench.run(["copy", server.reference, "oci:layout:v1"]));
    expectSuccess(await bench.run(["verify", "oci:layout:v1"]));
  });

  tryOut("redirects to another host is followed by copy and verify", async () => {
    await using storage = await serveModel(model);
    const { port } = new URL(`http://${storage.host}`);
    await using server = await serveModel(model, ({ digest }) => ({
      status: 307,
      headers: { location: `http://localhost:${port}/v2/acme/model/blobs/${digest}` },
    }));
    using bench = openBench("faults-copy");
    expectSuccess(await bench.run(["copy", server.reference, "oci:layout:v1"]));
    expectSuccess(await bench.run(["verify", server.reference]));
    expectSuccess(await bench.run(["verify", "oci:layout:v1"]));
    expect(storage.asked.length).toBeGreaterThan(1);
  });
});

interface Target extends AsyncDisposable {
  to: string;
  manifest: URL;
}

/** An embedded registry in a bench's directory. */
async function registryIn(bench: Bench): Promise<Target> {
  const handler = await createEmbeddedRegistry({ storage: join(bench.directory, "storage") });
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: handler });
  return {
    to: `127.0.0.1:${server.port}/acme/copy:v1`,
    manifest: new URL("/v2/acme/copy/manifests/v1", server.url),
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}
