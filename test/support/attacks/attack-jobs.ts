import { expect } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../../src/oci/digest.ts";
import { makeModel, serveModel } from "./model-server.ts";
import { type Bench, compressibleBytes, openBench, randomBytes } from "./program-run.ts";
import { servePushes } from "./push-server.ts";

const MiB = 1024 * 1024;

/** One run of the program that is about to be attacked, in a bench of its own. */
export interface AttackRun extends AsyncDisposable {
  args: string[];
  /** What must hold at any moment, also after a kill. */
  expectNothingWrong(): Promise<void>;
  /** What must hold once a run has ended with 0. */
  expectDone(): Promise<void>;
}

export interface AttackJob {
  name: string;
  prepare(bench: Bench): Promise<AttackRun>;
}

const model = makeModel([
  { name: "large", bytes: randomBytes(3 * MiB + 7, 1) },
  { name: "packed", bytes: compressibleBytes(MiB, 2), compression: "zstd" },
  { name: "small", bytes: randomBytes(1000, 3) },
]);

const nothing = { [Symbol.asyncDispose]: () => Promise.resolve() };

function writeWeights(bench: Bench): void {
  mkdirSync(bench.path("weights"));
  for (const { name, bytes } of model.weights) writeFileSync(bench.path("weights", name), bytes);
}

/** The files of a lock: all of it but when it was made. */
const filesOf = (lockText: string): unknown => (JSON.parse(lockText) as { files: unknown }).files;

/** What every undisturbed `lock` of the weights writes. */
let lockText: Promise<string> | undefined;
function expectedLock(): Promise<string> {
  lockText ??= (async () => {
    using bench = openBench("lock");
    writeWeights(bench);
    expect((await bench.run(["lock", "weights"])).code).toBe(0);
    return readFileSync(bench.path("weights.lock"), "utf8");
  })();
  return lockText;
}

/** Each blob below a layout's or a cache's directory is what its name says. */
function expectRightBlobs(directory: string): void {
  for (const hex of existsSync(directory) ? readdirSync(directory) : []) {
    if (!/^[0-9a-f]{64}$/.test(hex)) continue;
    expect(digestOf(readFileSync(join(directory, hex)))).toBe(`sha256:${hex}`);
  }
}

const lock: AttackJob = {
  name: "lock",
  async prepare(bench) {
    writeWeights(bench);
    const expected = await expectedLock();
    const path = bench.path("weights.lock");
    const same = () => expect(filesOf(readFileSync(path, "utf8"))).toEqual(filesOf(expected));
    return {
      ...nothing,
      args: ["lock", "weights"],
      expectNothingWrong: async () => (existsSync(path) ? same() : undefined),
      expectDone: async () => same(),
    };
  },
};

const push: AttackJob = {
  name: "push",
  async prepare(bench) {
    writeWeights(bench);
    writeFileSync(bench.path("weights.lock"), await expectedLock());
    const server = await servePushes({});
    const reference = `${server.host}/acme/model:v1`;
    const verify = async (): Promise<void> => {
      const { code, stderr } = await bench.run(["verify", reference]);
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    };
    return {
      args: ["push", reference, "--weights", "weights"],
      async expectNothingWrong() {
        const { status } = await server.get("/v2/acme/model/manifests/v1");
        if (status === 200) await verify();
        else expect(status).toBe(404);
      },
      expectDone: verify,
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
};

function pull(name: string, flags: string[]): AttackJob {
  return {
    name,
    async prepare(bench) {
      const server = await serveModel(model);
      const path = (file: string) => bench.path("models/src/weights", file);
      const check = (needed: boolean): void => {
        for (const { name: file, bytes } of model.weights) {
          if (!needed && !existsSync(path(file))) continue;
          expect(readFileSync(path(file)).equals(bytes)).toBe(true);
        }
        expectRightBlobs(join(bench.cache, "blobs/sha256"));
      };
      return {
        args: ["pull", server.reference, "-o", "models", ...flags],
        async expectNothingWrong() {
          check(existsSync(path(".cog/ready")));
        },
        expectDone: async () => check(true),
        [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
      };
    },
  };
}

function copy(name: string, to: string, mayBeThere: (bench: Bench) => boolean): AttackJob {
  return {
    name,
    async prepare(bench) {
      const server = await serveModel(model);
      const verify = async (): Promise<void> => {
        const { code, stderr } = await bench.run(["verify", to]);
        expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      };
      return {
        args: ["copy", server.reference, to],
        async expectNothingWrong() {
          expectRightBlobs(bench.path("layout/blobs/sha256"));
          if (mayBeThere(bench)) await verify();
        },
        expectDone: verify,
        [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
      };
    },
  };
}

export const attackJobs: readonly AttackJob[] = [
  lock,
  push,
  pull("pull", []),
  pull("pull --no-cache", ["--no-cache"]),
  copy("copy to a layout", "oci:layout:v1", (bench) => {
    const index = bench.path("layout/index.json");
    return existsSync(index) && readFileSync(index, "utf8").includes('"v1"');
  }),
  copy("copy to an archive", "oci-archive:model.tar:v1", (bench) =>
    existsSync(bench.path("model.tar")),
  ),
];

/** What a cache may have more or less of after another course of events: its blobs and its records. */
const cacheEntry =
  /^cache\/(?:blobs\/sha256\/[0-9a-f]{64}|records\/(?:\w+\/(?:(?:[0-9a-f]{32}){1,2}\.json|sha256-[0-9a-f]{64})|upload-ways\.json))$/;

/** All files of a bench but the cache's entries, and all directories outside the cache, by path. */
export function treeOf(bench: Bench): string[] {
  return readdirSync(bench.directory, { recursive: true, encoding: "utf8" })
    .flatMap((name) => {
      const isDirectory = lstatSync(join(bench.directory, name)).isDirectory();
      if (isDirectory) return name.startsWith("cache") ? [] : [`${name}/`];
      return cacheEntry.test(name) || name === "cache/CACHEDIR.TAG" ? [] : [name];
    })
    .toSorted();
}
