import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { createWorkerPool, type WorkerPool } from "../../../src/runtime/worker-pool.ts";
import { fileEndedCode } from "../../../src/runtime/worker-protocol.ts";

const never = new AbortController().signal;
const sha256 = (bytes: Uint8Array): `sha256:${string}` =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

let directory: string;
let pool: WorkerPool;
let path: string;
const content = Buffer.alloc(3 * 1024 * 1024 + 17, "weights compress well ");

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-pool-"));
  path = join(directory, "a file.bin");
  writeFileSync(path, content);
  pool = createWorkerPool(2);
});

afterAll(() => {
  pool.close();
  rmSync(directory, { recursive: true });
});

const whole = () => ({ path, start: 0, end: content.length });

describe("hash", () => {
  test("gives the digest and size of a range", async () => {
    const [all, part, empty] = await pool.hash(
      [whole(), { path, start: 5, end: 1_000_005 }, { path, start: 9, end: 9 }],
      { signal: never },
    );
    expect(all).toEqual({ digest: sha256(content), size: content.length });
    expect(part).toEqual({ digest: sha256(content.subarray(5, 1_000_005)), size: 1_000_000 });
    expect(empty).toEqual({ digest: sha256(new Uint8Array()), size: 0 });
  });

  test("stops at the end of a file that is shorter than its range", async () => {
    const [result] = await pool.hash([{ path, start: 0, end: 2 ** 40 }], { signal: never });
    expect(result).toEqual({ digest: sha256(content), size: content.length });
  });

  test("reports every byte of every file before it resolves", async () => {
    const seen = new Map<number, number>();
    await pool.hash([whole(), whole()], {
      signal: never,
      onBytes: (bytes, item) => seen.set(item, (seen.get(item) ?? 0) + bytes),
    });
    expect([...seen]).toEqual([
      [0, content.length],
      [1, content.length],
    ]);
  });

  test("keeps the code of a file-system error and says which file it was", async () => {
    const missing = join(directory, "missing");
    const failing = pool.hash([whole(), { path: missing, start: 0, end: 1 }], { signal: never });
    await expect(failing).rejects.toMatchObject({ code: "ENOENT", item: 1 });
  });

  test("works through more jobs than there are workers", async () => {
    const jobs = Array.from({ length: 9 }, () => pool.hash([whole()], { signal: never }));
    const results = await Promise.all(jobs);
    expect(new Set(results.map(([result]) => result?.digest))).toEqual(new Set([sha256(content)]));
  });
});

describe("compress", () => {
  const restore = { gzip: gunzipSync, zstd: zstdDecompressSync };
  for (const codec of ["gzip", "zstd"] as const) {
    test(`${codec}: writes the same bytes each time and digests both sides`, async () => {
      const outputs = [join(directory, `1.${codec}`), join(directory, `2.${codec}`)];
      const results = await Promise.all(
        outputs.map((output) =>
          pool.compress({ input: whole(), codec, level: 3, output }, { signal: never }),
        ),
      );
      const [first, second] = outputs.map((output) => readFileSync(output));
      if (first === undefined || second === undefined) throw new Error("no output");
      expect(first.equals(second)).toBe(true);
      expect(Buffer.from(restore[codec](first)).equals(content)).toBe(true);
      expect(results[0]).toEqual({
        input: { digest: sha256(content), size: content.length },
        output: { digest: sha256(first), size: first.length },
      });
      expect(results[1]).toEqual(results[0]);
    });

    test(`${codec}: an empty range gives a blob that is not empty`, async () => {
      const output = join(directory, `empty.${codec}`);
      const result = await pool.compress(
        { input: { path, start: 0, end: 0 }, codec, level: 3, output },
        { signal: never },
      );
      expect(result.output.size).toBeGreaterThan(0);
      expect(restore[codec](readFileSync(output)).length).toBe(0);
    });

    test(`${codec}: fails on a file that is shorter than its range`, async () => {
      const input = { path, start: 0, end: content.length + 1 };
      const output = join(directory, "short");
      const failing = pool.compress({ input, codec, level: 3, output }, { signal: never });
      await expect(failing).rejects.toMatchObject({ code: fileEndedCode });
    });
  }

  test("says which code a refused output has", async () => {
    const output = join(directory, "no", "such", "directory");
    const failing = pool.compress(
      { input: whole(), codec: "zstd", level: 3, output },
      { signal: never },
    );
    await expect(failing).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("an abort", () => {
  /** All of it is a hole: it takes no room, and longer to read than any test waits. */
  const endless = { path: "", start: 0, end: 2 ** 42 };
  beforeAll(() => {
    endless.path = join(directory, "endless");
    writeFileSync(endless.path, "");
    truncateSync(endless.path, endless.end);
  });

  test("ends a running job with the signal's reason, and the pool goes on", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const running = pool.hash([endless], {
      signal: controller.signal,
      onBytes: () => controller.abort(reason),
    });
    await expect(running).rejects.toBe(reason);
    const [result] = await pool.hash([whole()], { signal: never });
    expect(result?.digest).toBe(sha256(content));
  });

  test("takes a waiting job out of the queue at once", async () => {
    const single = createWorkerPool(1);
    const running = single.hash([endless], { signal: never });
    const controller = new AbortController();
    const waiting = single.hash([whole()], { signal: controller.signal });
    controller.abort(new Error("no longer wanted"));
    await expect(waiting).rejects.toThrow("no longer wanted");
    single.close();
    await expect(running).rejects.toThrow("closed");
  });
});

test("an idle pool does not hold the process open", async () => {
  const script = `
    import { createWorkerPool } from ${JSON.stringify(join(import.meta.dir, "../../../src/runtime/worker-pool.ts"))};
    const pool = createWorkerPool(1);
    await pool.hash([{ path: ${JSON.stringify(path)}, start: 0, end: 10 }], { signal: new AbortController().signal });
    process.stdout.write("done");`;
  const file = join(directory, "idle.ts");
  writeFileSync(file, script);
  const child = Bun.spawn([process.execPath, file], { stdout: "pipe", timeout: 20_000 });
  expect(await new Response(child.stdout).text()).toBe("done");
  expect(await child.exited).toBe(0);
});

describe("probe", () => {
  test("tells what compressing would save, by samples of head, middle and tail", async () => {
    const noise = join(directory, "noise.bin");
    const size = 5 * 1024 * 1024;
    writeFileSync(noise, crypto.getRandomValues(new Uint8Array(65_536)));
    for (let written = 65_536; written < size; written += 65_536) {
      appendFileSync(noise, crypto.getRandomValues(new Uint8Array(65_536)));
    }
    const half = join(directory, "half.bin");
    writeFileSync(half, Buffer.concat([readFileSync(noise), Buffer.alloc(size)]));
    const [none, most, some, empty] = await pool.probe(
      [
        { path: noise, size },
        { path, size: content.length },
        { path: half, size: 2 * size },
        { path, size: 0 },
      ],
      { signal: never },
    );
    expect(none).toBe(0);
    expect(most).toBeGreaterThan(0.9);
    expect(some).toBeGreaterThan(0.3);
    expect(some).toBeLessThan(0.9);
    expect(empty).toBe(0);
  });
});

describe("pack", () => {
  const how = { levels: { gzip: 6, zstd: 3 }, minSaving: 0.1 };

  test("finds the same blob that compress writes", async () => {
    const size = 900_000;
    for (const choice of ["gzip", "zstd"] as const) {
      const [packed] = await pool.pack([{ path, size, choice }], how, { signal: never });
      const output = join(directory, `packed.${choice}`);
      const { output: written } = await pool.compress(
        { input: { path, start: 0, end: size }, codec: choice, level: how.levels[choice], output },
        { signal: never },
      );
      expect(packed).toEqual({
        original: { digest: sha256(content.subarray(0, size)), size },
        stored: { codec: choice, ...written },
      });
    }
  });

  test("compresses by itself where it is worth it", async () => {
    const noise = join(directory, "small-noise.bin");
    writeFileSync(noise, crypto.getRandomValues(new Uint8Array(5000)));
    const [plain, packed] = await pool.pack(
      [
        { path: noise, size: 5000, choice: "auto" },
        { path, size: 5000, choice: "auto" },
      ],
      how,
      { signal: never },
    );
    expect(plain).toMatchObject({ auto: "none" });
    expect(plain?.stored).toBeUndefined();
    expect(packed).toMatchObject({ auto: "zstd", stored: { codec: "zstd" } });
  });
});
