import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pLimit from "p-limit";
import {
  type Asked,
  makeModel,
  type Model,
  serveModel,
  type Weight,
} from "../support/attacks/model-server.ts";
import type { Behaviour } from "../support/registry/blob-answer.ts";
import {
  type Bench,
  compressibleBytes,
  filesBelow,
  openBench,
  randomBytes,
  sameBytes,
} from "../support/attacks/program-run.ts";
import { expectSuccess } from "../support/attacks/expect-run.ts";
import { promptly } from "../support/promptly.ts";

const MiB = 1024 * 1024;
const bytes = randomBytes(11 * MiB + 321, 1);
const other = randomBytes(11 * MiB + 321, 2);
const plain: Weight[] = [{ name: "large", bytes }];

const runs = [
  { way: "through the cache", flags: [] },
  { way: "without the cache", flags: ["--no-cache"] },
] as const;

/** Programs at once: each hashes and writes, and the machine has other things to do. */
const limit = pLimit(4);

const tryOut = (name: string, body: () => Promise<void>): void =>
  test.concurrent(name, () => limit(body), 60_000);

function expectWhole(bench: Bench, { weights }: Model): void {
  for (const { dest, bytes: original } of weights) {
    expect(sameBytes(bench.path("models", dest), original)).toBe(true);
  }
  const files = weights.map(({ dest }) => dest.slice(1));
  expect(filesBelow(bench.path("models"))).toEqual([...files, "src/weights/.cog/ready"].toSorted());
  expect(filesBelow(join(bench.cache, "tmp"))).toEqual([]);
}

/** What a failure because of wrong bytes leaves: the marker that says so, and nothing of the bytes. */
function expectNothing(bench: Bench): void {
  expect(filesBelow(bench.path("models"))).toEqual(["src/weights/.cog/failed"]);
  expect(filesBelow(join(bench.cache, "tmp"))).toEqual([]);
  expect(filesBelow(join(bench.cache, "blobs"))).toEqual([]);
}

const every =
  (behaviour: Behaviour) =>
  ({ ranged }: Asked): Behaviour =>
    ranged ? behaviour : {};

/** Faults that a pull gets over, and how a request is answered then. */
const overcome: Record<string, (asked: Asked) => Behaviour> = {
  "closes after every 2 MB": () => ({ cutAfter: 2e6 }),
  "closes its first connections without a byte": ({ index }) => (index < 2 ? { cutAfter: 0 } : {}),
  "sends too much of every range": every({ extra: 70_000 }),
  "sends too little of its first ranges": ({ index }) => (index < 2 ? { short: 5000 } : {}),
  "lies in every Content-Range": every({ contentRange: `bytes 5-100/${bytes.length}` }),
  "has a Content-Range that cannot be read": every({ contentRange: "bytes all" }),
  "names another size of the blob in every Content-Range": ({ ranged, range: { start, end } }) =>
    ranged ? { contentRange: `bytes ${start}-${end - 1}/${bytes.length + 1}` } : {},
  "answers 200 with everything to a Range": () => ({ ignoreRange: true }),
  "answers 400 to a Range": every({ status: 400 }),
  "answers 416 to a Range": every({ status: 416 }),
  "answers 503 at first": ({ index }) =>
    index < 3 ? { status: 503, headers: { "retry-after": "0" } } : {},
  "stalls for ever in one range": ({ index }) => (index === 1 ? { stallAfter: MiB } : {}),
};

describe("a registry that", () => {
  for (const [index, [fault, behave]] of Object.entries(overcome).entries()) {
    // What the two ways differ in is not what these faults are about.
    const { way, flags } = index % 2 === 0 ? runs[0] : runs[1];
    tryOut(`${fault} is pulled from all the same, ${way}`, async () => {
      const model = makeModel(plain);
      await using server = await serveModel(model, behave);
      using bench = openBench("faults");
      const args = ["pull", server.reference, "-o", "models", ...flags];
      expectSuccess(await bench.run(args));
      expectWhole(bench, model);
    });
  }

  /** Faults that leave nothing, and what is said of them. */
  const fatal: Record<string, { behave: (asked: Asked) => Behaviour; says: RegExp }> = {
    "sends other bytes": {
      behave: () => ({ blob: other }),
      says: /the received content does not match digest sha256:/,
    },
    "changes the blob between ranges": {
      behave: ({ index }) => (index === 0 ? {} : { blob: other }),
      says: /the received content does not match digest sha256:/,
    },
    "changes the size of the blob between ranges": {
      behave: ({ index }) => (index === 0 ? {} : { blob: Buffer.concat([other, Buffer.alloc(1)]) }),
      says: /the received content does not match digest sha256:/,
    },
  };
  for (const [fault, { behave, says }] of Object.entries(fatal)) {
    test.concurrent(`${fault} is found out, and nothing is left of it`, async () => {
      const model = makeModel(plain);
      await using server = await serveModel(model);
      for (const { flags } of runs) {
        using bench = openBench("faults");
        const args = ["pull", server.reference, "-o", "models", ...flags];
        server.forget();
        server.behave = behave;
        const { code, stderr } = await bench.run(args);
        expect(stderr).toMatch(says);
        expect(code).toBe(5);
        expect(readFileSync(bench.path("models/src/weights/.cog/failed"), "utf8")).toMatch(says);
        expect(existsSync(bench.path("models/src/weights/large"))).toBe(false);
        expectNothing(bench);
        server.behave = () => ({});
        expect((await bench.run(args)).code).toBe(0);
        expectWhole(bench, model);
      }
    }, 60_000);
  }

  test.concurrent("stalls for ever in every answer does not keep the program from ending within a second", async () => {
    const model = makeModel(plain);
    await using server = await serveModel(model, () => ({ stallAfter: MiB }));
    using bench = openBench("faults");
    const running = bench.start(["pull", server.reference, "-o", "models"]);
    await server.sent(2 * MiB);
    const asked = performance.now();
    running.kill("SIGTERM");
    expect((await running.ended).code).toBe(143);
    expect(performance.now() - asked).toBeLessThan(promptly);
    server.behave = () => ({});
    expect((await bench.run(["pull", server.reference, "-o", "models"])).code).toBe(0);
    expectWhole(bench, model);
  }, 60_000);

  test.concurrent("redirects to another host is followed, and only the first is told who asks", async () => {
    const model = makeModel(plain);
    const secret = `Basic ${Buffer.from("alice:secret").toString("base64")}`;
    await using storage = await serveModel(model);
    const { port } = new URL(`http://${storage.host}`);
    await using server = await serveModel(model, ({ authorization, digest }) =>
      authorization === secret
        ? {
            status: 307,
            headers: {
              location: `http://localhost:${port}/v2/acme/model/blobs/${digest}?signature=abc`,
            },
          }
        : { status: 401, headers: { "www-authenticate": 'Basic realm="models"' } },
    );
    using bench = openBench("faults");
    mkdirSync(bench.path("docker"));
    const auths = { [server.host]: { auth: secret.slice("Basic ".length) } };
    writeFileSync(bench.path("docker/config.json"), JSON.stringify({ auths }));
    const args = ["pull", server.reference, "-o", "models", "-v"];
    const ended = await bench.run(args);
    expectSuccess(ended);
    expectWhole(bench, model);
    expect(server.asked.some(({ authorization }) => authorization === secret)).toBe(true);
    expect(storage.asked.length).toBeGreaterThan(1);
    expect(storage.asked.map(({ authorization }) => authorization)).toEqual(
      storage.asked.map(() => undefined),
    );
    expect(ended.stderr).not.toContain("abc");
  }, 60_000);

  test.concurrent("redirects to one that asks for a password tells it none", async () => {
    const model = makeModel(plain);
    await using storage = await serveModel(model, () => ({
      status: 401,
      headers: { "www-authenticate": 'Basic realm="thief"' },
    }));
    const { port } = new URL(`http://${storage.host}`);
    await using server = await serveModel(model, ({ digest }) => ({
      status: 307,
      headers: { location: `http://localhost:${port}/v2/acme/model/blobs/${digest}` },
    }));
    using bench = openBench("faults");
    mkdirSync(bench.path("docker"));
    const auth = Buffer.from("alice:secret").toString("base64");
    const auths = { [server.host]: { auth }, [`localhost:${port}`]: { auth } };
    writeFileSync(bench.path("docker/config.json"), JSON.stringify({ auths }));
    const { code } = await bench.run(["pull", server.reference, "-o", "models"]);
    expect(code).not.toBe(0);
    expect(storage.asked.length).toBeGreaterThan(0);
    expect(storage.asked.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
    expect(existsSync(bench.path("models/src/weights/large"))).toBe(false);
  }, 60_000);
});

describe("compressed weights", () => {
  const text = compressibleBytes(9 * MiB, 3);

  for (const compression of ["gzip", "zstd"] as const) {
    test.concurrent(`${compression}: a stream that is cut, refused in ranges and sent too long is restored`, async () => {
      const model = makeModel([{ name: "large", bytes: text, compression }]);
      await using server = await serveModel(model);
      for (const behave of [
        (): Behaviour => ({ cutAfter: 2e6 }),
        (): Behaviour => ({ ignoreRange: true }),
        every({ extra: 10 }),
      ]) {
        server.behave = behave;
        for (const { flags } of runs) {
          using bench = openBench("faults");
          const args = ["pull", server.reference, "-o", "models", ...flags];
          expectSuccess(await bench.run(args));
          expectWhole(bench, model);
        }
      }
    }, 60_000);
  }
});
