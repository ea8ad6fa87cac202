import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { TransferEvent } from "../../src/transfer/events.ts";
import type { Behaviour } from "../support/registry/blob-answer.ts";
import { type Disk, mountTmpfs } from "../support/store/small-disk.ts";
import { type Asked, makeModel, type Model, serveModel } from "../support/attacks/model-server.ts";
import { makePartsModel } from "../support/attacks/parts-model.ts";
import {
  compressibleBytes,
  filesBelow,
  openBench,
  randomBytes,
  type Running,
  sameBytes,
} from "../support/attacks/program-run.ts";
import type { PullReport } from "../../src/report/pull.ts";

const MiB = 1024 * 1024;
const model = makeModel([
  { name: "large", bytes: randomBytes(12 * MiB, 5) },
  { name: "small", bytes: randomBytes(1000, 6) },
]);
const three = makeModel([
  { name: "large", bytes: randomBytes(9 * MiB, 8) },
  { name: "middle", bytes: randomBytes(3 * MiB, 9) },
  { name: "small", bytes: randomBytes(1000, 10) },
]);
const compressed = makeModel([
  { name: "large", bytes: compressibleBytes(12 * MiB, 7), compression: "zstd" },
]);
const inParts = makePartsModel([
  { name: "large", parts: Array.from({ length: 12 }, (_, index) => randomBytes(MiB, 20 + index)) },
  { name: "small", parts: [randomBytes(1000, 6)] },
]);
const files = ["src/weights/.cog/ready", "src/weights/large", "src/weights/small"];

const probe = mountTmpfs(MiB);
probe?.remove();
const canMount = probe !== undefined;

/** A test that mounts file systems of its own; skipped, and named so, where this user may not. */
function testWithDisk(bytes: number, name: string, body: (disk: Disk) => Promise<void>): void {
  const run = async (): Promise<void> => {
    const disk = mountTmpfs(bytes);
    if (disk === undefined) throw new Error("a file system could be mounted before");
    try {
      await body(disk);
    } finally {
      disk.remove();
    }
  };
  if (canMount) test(name, run, 60_000);
  else test.skip(`${name} (this user may mount no file system)`, run);
}

/** Takes all space but a little away, as another program would while a pull is under way. */
function fill(disk: Disk): () => void {
  const path = join(disk.path, "filler");
  // The program writes meanwhile: what was free may not be any more.
  for (let tries = 0; tries < 10; tries += 1) {
    const { bavail, bsize } = statfsSync(disk.path);
    const bytes = Math.max(0, bavail * bsize - MiB);
    if (bytes === 0) break;
    if (spawnSync("fallocate", ["-l", String(bytes), path]).status === 0) break;
    rmSync(path, { force: true });
  }
  return () => rmSync(path, { force: true });
}

/** Bytes that are taken on a disk. */
function usedOn(disk: Disk): number {
  const { blocks, bfree, bsize } = statfsSync(disk.path);
  return (blocks - bfree) * bsize;
}

/** Answers for the large file of a model stop half-way until the disk is full; what is small comes at once. */
function heldAtFirst(one: Model) {
  const { promise: filled, resolve: goOn } = Promise.withResolvers<void>();
  const behave = ({ digest }: Asked): Behaviour =>
    (one.blobs.get(digest)?.length ?? 0) < MiB
      ? {}
      : { hold: { after: (3 * MiB) / 4, until: filled } };
  return { behave, goOn };
}

/** Waits until the files of a model but the large one are below `target`, and more than a tenth of it on the disk. */
async function halfWay(
  running: Running,
  target: string,
  { disk, one }: { disk: Disk; one: Model },
): Promise<void> {
  const ended = new AbortController();
  void running.ended.then(() => ended.abort());
  const others = one.weights.filter(({ name }) => name !== "large");
  const areThere = (): boolean =>
    others.every(({ name }) => existsSync(join(target, "src/weights", name)));
  while (!ended.signal.aborted && !(areThere() && usedOn(disk) > one.size / 10)) await Bun.sleep(2);
}

/** What the progress of a run's downloads adds up to, in bytes. */
const progressOf = (stderr: string): number =>
  stderr
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as TransferEvent)
    .reduce((sum, event) => sum + (event.type === "progress" ? event.bytes : 0), 0);

describe("a disk that fills up half-way", () => {
  testWithDisk(24 * MiB, "under the target is said, and the next run goes on", async (disk) => {
    for (const one of [model, compressed, inParts]) {
      const { behave, goOn } = heldAtFirst(one);
      await using server = await serveModel(one, behave);
      using bench = openBench("disk");
      const target = join(disk.path, "models");
      const args = ["pull", server.reference, "-o", target, "--no-cache"];
      const running = bench.start(args);
      await halfWay(running, target, { disk, one });
      const empty = fill(disk);
      goOn();
      const { code, stderr } = await running.ended;
      expect(stderr).toContain(
        `"${target}/src/weights/large": cannot write: no space left on device\n`,
      );
      expect(stderr).toMatch(/hint: free up space on that file system, or write elsewhere/);
      expect(code).toBe(7);
      // Nobody waits for it any more.
      expect(filesBelow(target)).not.toContain("src/weights/.cog/downloading");
      empty();
      server.forget();
      expect((await bench.run(args)).code).toBe(0);
      expect(server.bytesAsked()).toBeLessThan(one.size * 0.95);
      for (const { name, bytes } of one.weights) {
        expect(sameBytes(join(target, "src/weights", name), bytes)).toBe(true);
      }
      expect(filesBelow(target).length).toBe(one.weights.length + 1);
      rmSync(target, { recursive: true });
    }
  });

  testWithDisk(
    32 * MiB,
    "under cache and target is said, and the next run goes on",
    async (disk) => {
      for (const one of [model, inParts]) {
        const { behave, goOn } = heldAtFirst(one);
        await using server = await serveModel(one, behave);
        using bench = openBench("disk");
        const env = { OCIBUNDLE_CACHE: join(disk.path, "cache") };
        const target = join(disk.path, "models");
        const args = ["pull", server.reference, "-o", target];
        const running = bench.start(args, env);
        await halfWay(running, target, { disk, one });
        const empty = fill(disk);
        goOn();
        const { code, stderr } = await running.ended;
        expect(stderr).toContain(
          `cannot use the cache directory "${disk.path}/cache": no space left on device\n`,
        );
        expect(stderr).toMatch(/\nhint: free up space there, run `ocibundle cache prune`/);
        expect(stderr).not.toContain("warning");
        expect(code).toBe(7);
        expect(filesBelow(target)).not.toContain("src/weights/large");
        empty();
        server.forget();
        expect((await bench.run(args, env)).code).toBe(0);
        // The journal of parts, many of which grow at once, may have found no room either.
        if (one === model) expect(server.bytesAsked()).toBeLessThan(one.size * 0.95);
        expect(filesBelow(target)).toEqual(files);
        expect(filesBelow(disk.path).filter((file) => /(?:^|\/)tmp\//.test(file))).toEqual([]);
        rmSync(target, { recursive: true });
        rmSync(env.OCIBUNDLE_CACHE, { recursive: true });
      }
    },
  );

  testWithDisk(
    24 * MiB,
    "under the cache alone is gone around, and what was fetched is kept",
    async (disk) => {
      for (const one of [model, compressed, inParts]) {
        await using server = await serveModel(one, () => ({ pause: 2 }));
        using bench = openBench("disk");
        const cache = join(disk.path, "cache");
        const args = ["pull", server.reference, "-o", "models", "--progress", "json", "-v"];
        const running = bench.start(args, { OCIBUNDLE_CACHE: cache });
        // Not what has gone out counts: on a busy machine much of that is on its way for long.
        while (usedOn(disk) < one.size * 0.4) await Bun.sleep(2);
        const empty = fill(disk);
        const { code, stderr } = await running.ended;
        expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
        const why = `cannot use the cache directory "${cache}": no space left on device`;
        expect(stderr.match(/pulling without the cache: .*(?="\})/g)).toEqual([
          `pulling without the cache: ${why.replaceAll('"', String.raw`\"`)}`,
        ]);
        for (const { name, bytes } of one.weights) {
          expect(sameBytes(bench.path("models/src/weights", name), bytes)).toBe(true);
        }
        expect(filesBelow(bench.path("models")).length).toBe(one.weights.length + 1);
        expect(filesBelow(cache).filter((file) => /(?:^|\/)tmp\//.test(file))).toEqual([]);
        // What was there is not asked for again.
        const [, kept = "0"] = /large: resumed with (\d+) bytes from the cache/.exec(stderr) ?? [];
        expect(Number(kept)).toBeGreaterThan(one.size * 0.1);
        expect(server.bytesAsked()).toBeLessThan(2 * one.size - Number(kept) + 4096);
        expect(progressOf(stderr)).toBe(one.size);
        empty();
        rmSync(cache, { recursive: true });
      }
    },
  );

  testWithDisk(
    8 * MiB,
    "under the cache from the start is gone around, and said once",
    async (disk) => {
      for (const one of [three, inParts]) {
        await using server = await serveModel(one);
        using bench = openBench("disk");
        const cache = join(disk.path, "cache");
        const args = ["pull", server.reference, "-o", "models"];
        const { code, stderr } = await bench.run(args, { OCIBUNDLE_CACHE: cache });
        expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
        expect(stderr.match(/warning: .*/g)).toEqual([
          expect.stringMatching(
            /^warning: pulling without the cache: no space left on the disk of ".*cache": 1\d MiB needed, \d MiB free$/,
          ),
        ]);
        // Nothing was tried there first.
        // But for the recipe of parts.
        expect(server.bytesAsked()).toBeLessThan(one.size + 4096);
        expect(filesBelow(cache).filter((file) => /(?:^|\/)(?:tmp|blobs)\//.test(file))).toEqual(
          [],
        );
        for (const { name, bytes } of one.weights) {
          expect(sameBytes(bench.path("models/src/weights", name), bytes)).toBe(true);
        }
        rmSync(cache, { recursive: true });
      }
    },
  );

  testWithDisk(
    8 * MiB,
    "under the cache does not keep what it has from being used",
    async (disk) => {
      await using server = await serveModel(three);
      using bench = openBench("disk");
      const env = { OCIBUNDLE_CACHE: join(disk.path, "cache") };
      const first = ["pull", server.reference, "-o", "first", "--only", "middle"];
      expect((await bench.run(first, env)).code).toBe(0);
      const args = ["pull", server.reference, "-o", "models", "--json"];
      const { code, stdout } = await bench.run(args, env);
      expect(code).toBe(0);
      const outcomes = (JSON.parse(stdout) as PullReport).files.map(({ outcome }) => outcome);
      expect(outcomes).toEqual(["fetched", "cached", "fetched"]);
    },
  );

  testWithDisk(8 * MiB, "is seen before the first byte where it is too small", async (disk) => {
    await using server = await serveModel(model);
    using bench = openBench("disk");
    const target = join(disk.path, "models");
    for (const flags of [[], ["--no-cache"]]) {
      const { code, stderr } = await bench.run(["pull", server.reference, "-o", target, ...flags]);
      expect(stderr).not.toContain("warning");
      expect(stderr).toMatch(/no space left on the disk of ".*": 1\d MiB needed, \d MiB free/);
      expect(stderr).toMatch(/\nhint: free up space/);
      expect(code).toBe(7);
    }
    expect(server.asked).toEqual([]);
  });
});

describe("a target", () => {
  testWithDisk(32 * MiB, "on another file system than the cache gets copies", async (disk) => {
    await using server = await serveModel(model);
    using bench = openBench("disk");
    const target = join(disk.path, "models");
    const { code, stderr } = await bench.run(["pull", server.reference, "-o", target, "-v"]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/large: copy of "/);
    expect(filesBelow(target)).toEqual(files);
    expect(
      sameBytes(join(target, "src/weights/large"), model.weights[0]?.bytes ?? new Uint8Array()),
    ).toBe(true);
    // A file of its own can be changed without changing the cache's.
    writeFileSync(join(target, "src/weights/small"), "changed");
    expect((await bench.run(["cache", "verify"])).code).toBe(0);
  });

  testWithDisk(32 * MiB, "that can only be read is said, unless all is there", async (disk) => {
    await using server = await serveModel(model);
    using bench = openBench("disk");
    const remount = (how: string): void => {
      expect(spawnSync("mount", ["-o", `remount,${how}`, disk.path]).status).toBe(0);
    };
    const args = ["pull", server.reference, "-o", disk.path];
    remount("ro");
    for (const flags of [[], ["--no-cache"]]) {
      const { code, stderr } = await bench.run([...args, ...flags]);
      expect(stderr).toMatch(new RegExp(`"${disk.path}/src": cannot write: read-only file system`));
      expect(stderr).toMatch(/\nhint: /);
      expect(code).toBe(7);
    }
    expect(server.asked).toEqual([]);
    remount("rw");
    expect((await bench.run(args)).code).toBe(0);
    remount("ro");
    const again = await bench.run(args);
    expect({ code: again.code, stderr: again.code === 0 ? "" : again.stderr }).toEqual({
      code: 0,
      stderr: "",
    });
    expect(again.stdout).toMatch(/up to date/);
    expect(again.stderr).not.toMatch(/cannot lock files/);
  });

  testWithDisk(
    64 * MiB,
    "that can only be read is said also of a file in the way, and with --sync",
    async (disk) => {
      await using server = await serveModel(model);
      using bench = openBench("disk");
      const pull = ["pull", server.reference, "-o", disk.path];
      const path = join(disk.path, "src/weights/small");
      expect((await bench.run(pull)).code).toBe(0);
      rmSync(path);
      writeFileSync(path, "other");
      expect(spawnSync("mount", ["-o", "remount,ro", disk.path]).status).toBe(0);
      for (const [flags, at] of [
        [[], path],
        [["--dry-run"], path],
        [["--sync"], disk.path],
      ] as const) {
        const { code, stderr } = await bench.run([...pull, ...flags]);
        expect(stderr).toContain(
          `"${at}": cannot write: read-only file system\nhint: mount the file system read-write, or write elsewhere`,
        );
        expect(stderr).not.toMatch(/cannot lock files|--force/);
        expect(code).toBe(7);
      }
    },
  );
});

describe("a cache that can only be read", () => {
  testWithDisk(64 * MiB, "is said to be, where it is pruned", async (disk) => {
    await using server = await serveModel(model);
    using bench = openBench("disk");
    const env = { OCIBUNDLE_CACHE: disk.path };
    expect((await bench.run(["pull", server.reference], env)).code).toBe(0);
    expect(spawnSync("mount", ["-o", "remount,ro", disk.path]).status).toBe(0);
    const { code, stderr } = await bench.run(["cache", "prune"], env);
    expect(stderr).toContain(
      `error: cannot prune the cache "${disk.path}": read-only file system\nhint: mount its file system read-write`,
    );
    expect(code).toBe(7);
  });

  testWithDisk(64 * MiB, "is said to keep what is damaged", async (disk) => {
    await using server = await serveModel(model);
    using bench = openBench("disk");
    const env = { OCIBUNDLE_CACHE: disk.path };
    expect((await bench.run(["pull", server.reference, "--link", "copy"], env)).code).toBe(0);
    const [blob = ""] = filesBelow(join(disk.path, "blobs"));
    const path = join(disk.path, "blobs", blob);
    chmodSync(path, 0o644);
    writeFileSync(path, "damaged");
    expect(spawnSync("mount", ["-o", "remount,ro", disk.path]).status).toBe(0);
    const { code, stderr } = await bench.run(["cache", "verify"], env);
    expect(stderr).toContain(
      "1 of 2 blobs are damaged, 0 removed\nhint: check the disk, and that the cache can be written: run `ocibundle cache verify` again then",
    );
    expect(code).toBe(5);
  });
});

const isRoot = process.getuid?.() === 0;
/** Any user that is not root; nobody's files are this one's. */
const nobody = 65_534;

/** Permissions stop only those who are not root: as root, the program is run as somebody else. */
const testAsUser = isRoot && Bun.which("setpriv") !== null ? test : test.skip;

describe("without permission", () => {
  testAsUser(
    "to write into the target it is said (needs root to become another user)",
    async () => {
      await using server = await serveModel(model);
      using bench = openBench("disk");
      chmodSync(bench.directory, 0o755);
      mkdirSync(bench.path("models"), { mode: 0o755 });
      mkdirSync(bench.cache);
      chownSync(bench.cache, nobody, nobody);
      const args = ["pull", server.reference, "-o", bench.path("models")];
      const { code, stderr } = await bench.runAs(nobody, args);
      expect(stderr).toMatch(/models\/src": cannot write: permission denied/);
      expect(stderr).toMatch(/\nhint: check the permissions of its directory/);
      expect(code).toBe(7);
      expect(server.asked).toEqual([]);
      chownSync(bench.path("models"), nobody, nobody);
      expect((await bench.runAs(nobody, args)).code).toBe(0);
      expect(filesBelow(bench.path("models"))).toEqual(files);
    },
    60_000,
  );

  testAsUser(
    "to write into the cache it is pulled without, and that is said (needs root to become another user)",
    async () => {
      await using server = await serveModel(model);
      using bench = openBench("disk");
      chmodSync(bench.directory, 0o755);
      mkdirSync(bench.path("models"));
      chownSync(bench.path("models"), nobody, nobody);
      const { code, stderr } = await bench.runAs(nobody, [
        "pull",
        server.reference,
        "-o",
        bench.path("models"),
      ]);
      expect(stderr).toMatch(
        /warning: pulling without the cache: cannot use the cache directory .*: permission denied/,
      );
      expect(code).toBe(0);
      expect(filesBelow(bench.path("models"))).toEqual(files);
      expect(readFileSync(bench.path("models/src/weights/.cog/ready"), "utf8").trim()).toBe(
        model.manifest.digest,
      );
    },
    60_000,
  );
});
