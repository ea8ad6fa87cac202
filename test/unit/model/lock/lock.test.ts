import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { constants, gunzipSync, gzipSync, zstdDecompressSync } from "node:zlib";
import { checkLock, type LockRequest, writeLock } from "../../../../src/model/lock/lock.ts";
import { isDrift } from "../../../../src/model/lock/lock-drift.ts";
import type { JobContext } from "../../../../src/model/session/session.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import type { TransferEvent } from "../../../../src/transfer/events.ts";
import { fixture } from "../../../support/model/fixtures.ts";
import { lockRequest, readLock } from "../../../support/model/lock.ts";
import { noise } from "../../../support/model/parts-artifact.ts";
import { noFlags } from "../../../support/model/job.ts";

let directory: string;
let events: TransferEvent[];

beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), "ocibundle-lock-")));
  events = [];
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const job = (more: Partial<JobContext> = {}): JobContext => ({
  env: { OCIBUNDLE_CACHE: join(directory, "cache") },
  cwd: directory,
  signal: new AbortController().signal,
  emit: (event) => events.push(event),
  flags: noFlags,
  ...more,
});

const lock = (more: Partial<LockRequest> = {}) => writeLock(job(), lockRequest(more));
const check = (more: Partial<LockRequest> = {}) => checkLock(job(), lockRequest(more));

function put(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(directory, path)), { recursive: true });
  writeFileSync(join(directory, path), content);
}

const lockText = (): string => readFileSync(join(directory, "weights.lock"), "utf8");
const blobPath = (digest: string): string =>
  join(directory, "cache/blobs/sha256", digest.slice("sha256:".length));

const large = 3 * 1024 * 1024;
const prose = new TextEncoder().encode("It compresses well. ".repeat(large / 20 + 1));

test("what killed runs have left beside the lock is removed, also where the lock does not change", async () => {
  mkdirSync(join(directory, "weights"));
  writeFileSync(join(directory, "weights/a.bin"), "1");
  await writeLock(job(), lockRequest());
  const left = join(directory, `.weights.lock-${crypto.randomUUID()}.tmp`);
  for (const path of [left, `${left}.lock`]) writeFileSync(path, "");
  expect((await writeLock(job(), lockRequest())).changed).toBe(false);
  expect(readdirSync(directory).filter((name) => name.startsWith("."))).toEqual([]);
});

describe("lock", () => {
  test("pins each file to the digest of its bytes", async () => {
    put("weights/a.bin", noise(100, 1));
    put("weights/sub/b.bin", noise(large, 1));
    const report = await lock();
    expect(report).toMatchObject({ changed: true, read: 2, unchanged: 0, size: 100 + large });
    expect(readLock(directory).files).toEqual([
      {
        name: "a",
        dest: "/src/weights/a.bin",
        digestOriginal: digestOf(noise(100, 1)),
        digest: digestOf(noise(100, 1)),
        size: 100,
        sizeUncompressed: 100,
        mediaType: "application/vnd.cog.weights.layer.v1",
        contentType: "application/octet-stream",
      },
      expect.objectContaining({
        name: "sub/b",
        dest: "/src/weights/sub/b.bin",
        digest: digestOf(noise(large, 1)),
      }),
    ]);
  });

  test("of the same files again leaves the same bytes, and reads nothing", async () => {
    put("weights/a.bin", noise(100, 1));
    put("weights/b.bin", noise(large, 1));
    await lock();
    const [text, { mtimeNs, ino }] = [
      lockText(),
      statSync(join(directory, "weights.lock"), { bigint: true }),
    ];
    expect(await lock()).toMatchObject({ changed: false, read: 0, unchanged: 2 });
    expect(lockText()).toBe(text);
    expect(statSync(join(directory, "weights.lock"), { bigint: true })).toMatchObject({
      mtimeNs,
      ino,
    });
  });

  test("reads again only what changed", async () => {
    for (const name of ["a", "b", "c"]) put(`weights/${name}.bin`, noise(100, 1));
    await lock();
    put("weights/b.bin", "changed");
    expect(await lock()).toMatchObject({ changed: true, read: 1, unchanged: 2 });
    expect(readLock(directory).files[1]?.digest).toBe(digestOf("changed"));
  });

  test("needs no records to come to the same lock", async () => {
    put("weights/a.bin", noise(large, 1));
    await lock();
    const text = lockText();
    rmSync(join(directory, "cache"), { recursive: true });
    expect(await lock()).toMatchObject({ changed: false, read: 1 });
    expect(lockText()).toBe(text);
  });

  test("drops what is no longer there", async () => {
    put("weights/a.bin", "a");
    put("weights/b.bin", "b");
    await lock();
    rmSync(join(directory, "weights/a.bin"));
    await lock();
    expect(readLock(directory).files.map(({ name }) => name)).toEqual(["b"]);
  });

  test("keeps dests, unknown members and the time of creation where nothing changed", async () => {
    put("weights/a.bin", "a");
    put("weights/b.bin", "b");
    await lock({ dest: "/cache" });
    const before = JSON.parse(lockText());
    before.created = "2026-01-01T00:00:00.123456789Z";
    before.tool = { name: "another" };
    before.files[0].source = "hf://acme/a";
    writeFileSync(join(directory, "weights.lock"), JSON.stringify(before));
    await lock();
    expect(JSON.parse(lockText())).toEqual(before);
    put("weights/b.bin", "changed");
    await lock();
    const after = JSON.parse(lockText());
    expect(after.created).not.toBe(before.created);
    expect(after).toMatchObject({
      tool: before.tool,
      files: [before.files[0], { name: "b", dest: "/cache/b.bin", digest: digestOf("changed") }],
    });
  });

  test("moves files to another dest when told to", async () => {
    put("weights/a.bin", "a");
    await lock({ dest: "/cache" });
    expect(await lock({ dest: "/models/" })).toMatchObject({ changed: true, read: 0 });
    expect(readLock(directory).files[0]?.dest).toBe("/models/a.bin");
  });

  test("leaves a lock of Cog's as it is when its files are the same", async () => {
    const cog = JSON.parse(new TextDecoder().decode(fixture("cog-generator.lock")));
    for (const file of cog.files) {
      const content = noise(2_000_000 + file.name.charCodeAt(10), 1);
      put(`weights/${file.name}.bin`, content);
      Object.assign(file, { digest: digestOf(content), digestOriginal: digestOf(content) });
      Object.assign(file, { size: content.length, sizeUncompressed: content.length });
    }
    writeFileSync(join(directory, "weights.lock"), JSON.stringify(cog, null, 2));
    const text = lockText();
    expect(await lock()).toMatchObject({ changed: false });
    expect(lockText()).toBe(text);
  });

  test.each(["small words\n", "the same words again and again\n".repeat(100_000)])(
    "whose blobs another compressor made is no match, as for a push",
    async (content) => {
      put("weights/a.bin", content);
      await lock({ compression: "gzip" });
      expect(isDrift(await check())).toBeFalse();
      const lockOfOther = JSON.parse(lockText());
      const blob = gzipSync(content, { level: 1, strategy: constants.Z_HUFFMAN_ONLY });
      Object.assign(lockOfOther.files[0], { digest: digestOf(blob), size: blob.length });
      writeFileSync(join(directory, "weights.lock"), JSON.stringify(lockOfOther, null, 2));
      expect(await check()).toEqual({
        changed: [{ name: "a", what: ["blob"] }],
        missing: [],
        added: [],
      });
      await lock();
      expect(isDrift(await check())).toBeFalse();
    },
  );

  test("takes the project file's weights when no path is given", async () => {
    put("models/llama.bin", "llama");
    put("cog.yaml", "weights: [{name: llama-3, source: models/llama.bin, target: /src/llama.bin}]");
    await lock({ paths: [] });
    expect(readLock(directory).files).toMatchObject([{ name: "llama-3", dest: "/src/llama.bin" }]);
    await expect(lock({ paths: [], dest: "/x" })).rejects.toMatchObject({ code: "usage" });
  });

  test("writes to the file behind a link", async () => {
    put("weights/a.bin", "a");
    mkdirSync(join(directory, "locks"));
    symlinkSync("locks/real.lock", join(directory, "weights.lock"));
    writeFileSync(
      join(directory, "locks/real.lock"),
      '{"version":"1","created":"2026-01-01T00:00:00Z","files":[]}',
    );
    await lock();
    expect(readLock(directory).files).toHaveLength(1);
    expect(readdirSync(join(directory, "locks"))).toEqual(["real.lock"]);
    expect(JSON.parse(readFileSync(join(directory, "locks/real.lock"), "utf8")).files).toHaveLength(
      1,
    );
  });

  test("leaves itself out of the directory it lies in", async () => {
    put("a.bin", "a");
    rmSync(join(directory, "cache"), { recursive: true, force: true });
    const elsewhere = mkdtempSync(join(tmpdir(), "ocibundle-lock-cache-"));
    try {
      const there = job({ env: { OCIBUNDLE_CACHE: elsewhere } });
      await writeLock(there, lockRequest({ paths: ["."] }));
      await writeLock(there, lockRequest({ paths: ["."] }));
      expect(readLock(directory).files.map(({ name }) => name)).toEqual(["a"]);
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
  });

  test("works without a cache that can be written", async () => {
    put("weights/a.bin", noise(large, 1));
    put("cache", "a file in the way");
    expect(await lock()).toMatchObject({ changed: true, read: 1 });
    expect(await lock()).toMatchObject({ changed: false, read: 1 });
  });

  test("tells what it reads", async () => {
    put("weights/large.bin", noise(large, 1));
    put("weights/1.bin", "1");
    put("weights/2.bin", "2");
    await lock();
    expect(events[0]).toEqual({ type: "phase", phase: "hash", items: 2, bytes: large + 2 });
    const done = (item: string): number =>
      events.reduce(
        (sum, e) => (e.type === "progress" && e.item === item ? sum + e.bytes : sum),
        0,
      );
    expect(done("large")).toBe(large);
    expect(done("2 small files")).toBe(2);
    expect(events.filter(({ type }) => type === "done")).toHaveLength(2);
  });

  test("ten thousand small files are quick and all there", async () => {
    mkdirSync(join(directory, "weights"));
    for (let index = 0; index < 10_000; index++) {
      writeFileSync(join(directory, `weights/${index}.json`), `{"index":${index}}`);
    }
    const started = performance.now();
    expect(await lock()).toMatchObject({ read: 10_000 });
    expect(performance.now() - started).toBeLessThan(15_000);
    expect(readLock(directory).files).toHaveLength(10_000);
    expect(await lock()).toMatchObject({ read: 0, changed: false });
  }, 60_000);
});

describe("compression", () => {
  test("auto stores plain what saves less than a tenth, and else zstd", async () => {
    put("weights/noise.bin", noise(large, 1));
    put("weights/prose.bin", prose);
    put("weights/small-noise.bin", noise(1000, 1));
    put("weights/small-prose.bin", "It compresses well. ".repeat(50));
    await lock();
    expect(
      readLock(directory).files.map(({ name, mediaType }) => [name, mediaType.split("v1")[1]]),
    ).toEqual([
      ["noise", ""],
      ["prose", "+zstd"],
      ["small-noise", ""],
      ["small-prose", "+zstd"],
    ]);
  });

  test.each([
    ["gzip", gunzipSync],
    ["zstd", zstdDecompressSync],
  ] as const)(
    "%s stores every file so, and keeps the large blobs",
    async (compression, restore) => {
      put("weights/prose.bin", prose);
      put("weights/noise.bin", noise(large, 1));
      await lock({ compression });
      for (const file of readLock(directory).files) {
        const original = readFileSync(join(directory, `weights/${file.name}.bin`));
        expect(file.mediaType.endsWith(`+${compression}`)).toBe(true);
        expect(file.digestOriginal).toBe(digestOf(original));
        const blob = readFileSync(blobPath(file.digest));
        expect([digestOf(blob), blob.length]).toEqual([file.digest, file.size]);
        expect(restore(blob).equals(original)).toBe(true);
      }
      expect(readdirSync(join(directory, "cache/tmp"))).toEqual([]);
    },
  );

  test("gives the same bytes each time", async () => {
    put("weights/large.bin", prose);
    put("weights/small.bin", prose.subarray(0, 5000));
    await lock({ compression: "zstd" });
    const { files } = readLock(directory);
    rmSync(join(directory, "cache"), { recursive: true });
    rmSync(join(directory, "weights.lock"));
    await lock({ compression: "zstd" });
    expect(readLock(directory).files).toEqual(files);
  });

  test("of an unchanged file stays as it is unless another is asked for", async () => {
    put("weights/prose.bin", prose);
    await lock({ compression: "gzip" });
    const text = lockText();
    expect(await lock()).toMatchObject({ changed: false, read: 0 });
    rmSync(join(directory, "cache"), { recursive: true });
    expect(await lock()).toMatchObject({ changed: false, read: 1 });
    expect(lockText()).toBe(text);
    await lock({ compression: "none" });
    expect(readLock(directory).files[0]?.mediaType).toBe("application/vnd.cog.weights.layer.v1");
    await lock({ compression: "auto" });
    expect(readLock(directory).files[0]?.mediaType).toBe(
      "application/vnd.cog.weights.layer.v1+zstd",
    );
  });

  test.each([undefined, "none", "zstd"] as const)(
    "an empty file is stored as gzip, whatever is asked for (%p)",
    async (compression) => {
      put("weights/empty.bin", "");
      await lock({ compression });
      const [file] = readLock(directory).files;
      expect(file).toMatchObject({
        digestOriginal: digestOf(""),
        sizeUncompressed: 0,
        mediaType: "application/vnd.cog.weights.layer.v1+gzip",
      });
      expect(file?.size).toBeGreaterThan(0);
      expect(file?.digest).not.toBe(file?.digestOriginal);
    },
  );
});

describe("a lock is refused", () => {
  test.each([
    ["a path that does not exist", ["nothing"], "file", "does not exist"],
    ["no path and no project file", [], "usage", "no weights were specified"],
    ["a directory with nothing in it", ["empty"], "file", "no weight files in"],
    [
      "a name that makes no dest",
      ["odd"],
      "file",
      'entry "two\\nlines": dest "/src/weights/two\\nlines.bin" must not have a NUL or control character',
    ],
  ] as const)("for %s", async (_, paths, code, message) => {
    mkdirSync(join(directory, "empty"));
    put("odd/two\nlines.bin", "x");
    await expect(lock({ paths })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
    expect(existsSync(join(directory, "weights.lock"))).toBe(false);
  });

  test("for a dest that is relative, before anything is read", async () => {
    put("weights/a.bin", "a");
    await expect(lock({ dest: "cache" })).rejects.toThrow(
      '--dest: "cache" must be an absolute path',
    );
    expect(events).toEqual([]);
  });

  test("over a file that is no lock, which stays", async () => {
    put("weights/a.bin", "a");
    put("notes.txt", "not a lock");
    await expect(lock({ output: "notes.txt" })).rejects.toThrow("notes.txt: not a JSON document");
    expect(readFileSync(join(directory, "notes.txt"), "utf8")).toBe("not a lock");
  });

  test("into a directory that does not exist", async () => {
    put("weights/a.bin", "a");
    await expect(lock({ output: "no/such/weights.lock" })).rejects.toMatchObject({
      code: "file",
      message: expect.stringContaining("cannot write"),
    });
  });

  test("for a file that changes while it is read", async () => {
    put("weights/a.bin", noise(large, 1));
    const path = join(directory, "weights/a.bin");
    const changing = job({
      emit: (event) => {
        if (event.type === "start") appendFileSync(path, "more");
      },
    });
    await expect(writeLock(changing, lockRequest())).rejects.toMatchObject({
      code: "integrity",
      message: `"${path}" changed while it was being read`,
    });
    expect(existsSync(join(directory, "weights.lock"))).toBe(false);
  });

  test("when it is told to stop, by the reason it is given", async () => {
    put("weights/a.bin", noise(large, 1));
    const controller = new AbortController();
    const stopped = job({
      signal: controller.signal,
      emit: (event) => {
        if (event.type === "start") controller.abort(new Error("enough"));
      },
    });
    await expect(writeLock(stopped, lockRequest())).rejects.toThrow("enough");
    expect(existsSync(join(directory, "weights.lock"))).toBe(false);
  });
});

describe("--check", () => {
  test("finds nothing where nothing changed, and reads nothing", async () => {
    put("weights/a.bin", prose);
    await lock({ compression: "zstd" });
    events = [];
    expect(await check()).toEqual({ changed: [], missing: [], added: [] });
    expect(events).toEqual([]);
  });

  test("lists what changed, what is missing and what was added, and writes nothing", async () => {
    for (const name of ["a", "b", "c", "d"]) put(`weights/${name}.bin`, "1234");
    await lock({ dest: "/cache" });
    const text = lockText();
    put("weights/a.bin", "4321");
    put("weights/b.bin", "12345");
    rmSync(join(directory, "weights/c.bin"));
    put("weights/e.bin", "new");
    const drift = await check();
    expect(drift).toEqual({
      changed: [
        { name: "a", what: ["digest"] },
        { name: "b", what: ["size"] },
      ],
      missing: ["c"],
      added: ["e"],
    });
    expect(isDrift(drift)).toBe(true);
    expect(lockText()).toBe(text);
  });

  test("holds dests against the lock where one is asked for", async () => {
    put("weights/a.bin", "a");
    await lock({ dest: "/cache" });
    expect(isDrift(await check())).toBe(false);
    expect((await check({ dest: "/models" })).changed).toEqual([{ name: "a", what: ["dest"] }]);
  });

  test("needs a lock", async () => {
    put("weights/a.bin", "a");
    await expect(check()).rejects.toMatchObject({
      code: "file",
      message: 'the lock "weights.lock" does not exist',
    });
  });
});
