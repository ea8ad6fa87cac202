import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../src/oci/digest.ts";
import { createEmbeddedRegistry } from "../../src/harness/registry/routes/registry.ts";
import { makeModel, type Model, serveModel } from "../support/attacks/model-server.ts";
import {
  type Bench,
  filesBelow,
  openBench,
  randomBytes,
  seeded,
} from "../support/attacks/program-run.ts";

const MiB = 1024 * 1024;

/** Where a model is copied to, and what must hold there. */
interface Target extends AsyncDisposable {
  to: string;
  /** At any moment. */
  expectNothingWrong(): Promise<void>;
  /** After a success. */
  expectDone(): Promise<void>;
}

const targets: Record<string, (bench: Bench, model: Model) => Promise<Target>> = {
  "to a layout": async (bench, model) => {
    const layout = bench.path("layout");
    const blobs = join(layout, "blobs/sha256");
    return {
      to: "oci:layout:v1",
      async expectNothingWrong() {
        for (const hex of existsSync(blobs) ? readdirSync(blobs) : []) {
          expect(digestOf(readFileSync(join(blobs, hex)))).toBe(`sha256:${hex}`);
        }
      },
      async expectDone() {
        const names = [...model.blobs.keys(), model.manifest.digest].map((digest) =>
          digest.replace(":", "/"),
        );
        const blobFiles = [...new Set(names)].map((name) => `blobs/${name}`);
        expect(filesBelow(layout)).toEqual(["index.json", "oci-layout", ...blobFiles].toSorted());
      },
      [Symbol.asyncDispose]: async () => undefined,
    };
  },
  "to an archive": async (bench) => {
    const archive = bench.path("model.tar");
    return {
      to: "oci-archive:model.tar:v1",
      async expectNothingWrong() {
        // It has its name when it is whole.
        if (existsSync(archive)) {
          expect((await bench.run(["verify", "oci-archive:model.tar:v1"])).code).toBe(0);
        }
      },
      async expectDone() {
        const names = readdirSync(bench.directory).filter((name) => name.startsWith("model.tar"));
        expect(names).toEqual(["model.tar"]);
      },
      [Symbol.asyncDispose]: async () => undefined,
    };
  },
  "to a registry": async (bench, model) => {
    const handler = await createEmbeddedRegistry({ storage: bench.path("storage") });
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: handler });
    const manifestUrl = new URL("/v2/acme/copy/manifests/v1", server.url);
    return {
      to: `127.0.0.1:${server.port}/acme/copy:v1`,
      async expectNothingWrong() {
        // The tag is there when everything that it stands for is.
        if (!(await fetch(manifestUrl)).ok) return;
        for (const digest of model.blobs.keys()) {
          const url = new URL(`/v2/acme/copy/blobs/${digest}`, server.url);
          expect((await fetch(url, { method: "HEAD" })).status).toBe(200);
        }
      },
      expectDone: async () => undefined,
      [Symbol.asyncDispose]: () => server.stop(true),
    };
  },
};

/** Kills of each target; see those of pulls. */
const killsOfEach = 6;

/** Runs that may come to their end before their kill, on a machine that is fast or busy. */
const mostMisses = 40;

describe("a copy that is killed at any moment leaves nothing wrong, and the next one makes it whole", () => {
  for (const [index, [name, open]] of Object.entries(targets).entries()) {
    test.concurrent(
      name,
      async () => {
        const next = seeded(100 + index);
        const model = makeModel([
          { name: "large", bytes: randomBytes(6 * MiB, index) },
          { name: "middle", bytes: randomBytes(2 * MiB, index + 10) },
          { name: "small", bytes: randomBytes(1000, index + 20) },
        ]);
        await using server = await serveModel(model, () => ({ pause: 1 }));
        using bench = openBench("kill-copy");
        let kills = 0;
        let misses = 0;
        while (kills < killsOfEach) {
          await using target = await open(bench, model);
          const args = ["copy", server.reference, target.to];
          server.forget();
          const running = bench.start(args);
          const late = next() < 0.4;
          await Promise.race([server.sent(late ? model.size : next() * model.size), running.ended]);
          await Bun.sleep(next() * (late ? 60 : 10));
          running.kill("SIGKILL");
          if ((await running.ended).signal === "SIGKILL") kills += 1;
          else misses += 1;
          await target.expectNothingWrong();
          const { code, stderr } = await bench.run(args);
          expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
          await target.expectNothingWrong();
          await target.expectDone();
          expect((await bench.run(["verify", target.to])).code).toBe(0);
          for (const path of ["layout", "model.tar", "storage"]) {
            rmSync(bench.path(path), { recursive: true, force: true });
          }
          expect(filesBelow(join(bench.cache, "tmp"))).toEqual([]);
          expect(misses).toBeLessThan(mostMisses);
        }
      },
      120_000,
    );
  }
});
