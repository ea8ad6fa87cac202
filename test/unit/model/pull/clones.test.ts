import { afterAll, describe, expect, test } from "bun:test";
import { readFile, statfs, writeFile } from "node:fs/promises";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pullWeights } from "../../../../src/model/pull/pull.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { jobIn } from "../../../support/model/job.ts";
import {
  contentOf,
  noise,
  putParts,
  type PutOptions,
  type TestFile,
} from "../../../support/model/parts-artifact.ts";
import { recordingRegistry } from "../../../support/registry/recording-registry.ts";
import { mountXfs } from "../../../support/store/small-disk.ts";

const repository = "acme/model";
const MiB = 1024 * 1024;

const kept = noise(24 * MiB, 1);
const changing = noise(MiB, 2);
const changed = noise(MiB, 3);

const first: TestFile = { name: "model.safetensors", pieces: [kept, changing] };
const second: TestFile = { ...first, pieces: [kept, changed] };

const disk = mountXfs();
afterAll(() => disk?.remove());

/**
 * A test on a file system with reflinks; skipped, and named so, where none can be mounted. In CI one can be, so that
 * it fails there.
 */
function testWithReflinks(name: string, body: (path: string) => Promise<void>): void {
  if (disk !== undefined) test(name, () => body(disk.path));
  else if (process.env["CI"] === "true") {
    test(name, () => {
      throw new Error("no XFS could be mounted");
    });
  } else test.skip(`${name} (needs mkfs.xfs, and root for a loop mount)`, () => undefined);
}

async function bench(cwd: string) {
  const registry = await recordingRegistry();
  const job = jobIn(cwd);
  return {
    put: (file: TestFile, options: PutOptions) => putParts(registry, repository, [file], options),
    pull: (tag: string, options: Partial<Parameters<typeof pullWeights>[1]> = {}) =>
      pullWeights(job, {
        source: `${registry.host}/${repository}:${tag}`,
        output: join(cwd, tag),
        only: [],
        force: false,
        useCache: true,
        ...options,
      }),
    read: (tag: string) => readFile(join(cwd, tag, "src", first.name)),
  };
}

/** What is stored on a file system, in bytes, once all of it is. */
async function used(path: string): Promise<number> {
  spawnSync("sync", ["-f", path]);
  const { blocks, bfree, bsize } = await statfs(path);
  return (blocks - bfree) * bsize;
}

describe("where files can be cloned", () => {
  for (const [name, options] of [
    ["from the cached one", {}],
    ["from a file that another program has put there", { useCache: false, seeds: ["seed.bin"] }],
  ] as const) {
    testWithReflinks(`the next version ${name} takes the space of its new parts`, async (path) => {
      const cwd = join(path, name.replaceAll(" ", "-"));
      const { put, pull, read } = await bench(cwd);
      await put(first, { tag: "v1" });
      await put(second, { tag: "v2" });
      await pull("v1", options.useCache === false ? { useCache: false } : {});
      if (options.useCache === false) await writeFile(join(cwd, "seed.bin"), contentOf(first));
      const before = await used(path);
      const { reused } = await pull("v2", options);
      expect(reused).toBe(kept.length);
      // The new part, and what the file system and the records need.
      expect((await used(path)) - before).toBeLessThan(changed.length + 4 * MiB);
      expect(digestOf(await read("v2"))).toBe(digestOf(contentOf(second)));
      // The clone is a file of its own.
      expect(digestOf(await read("v1"))).toBe(digestOf(contentOf(first)));
    });
  }
});
