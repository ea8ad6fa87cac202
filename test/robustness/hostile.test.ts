import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createGzip, createZstdCompress, gzipSync } from "node:zlib";
import { digestOf } from "../../src/oci/digest.ts";
import type { WeightEntry } from "../../src/model/format/weight-entry.ts";
import { makeModel, serveModel } from "../support/attacks/model-server.ts";
import { filesBelow, openBench, sameBytes } from "../support/attacks/program-run.ts";

const MiB = 1024 * 1024;
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

describe("a manifest with the", () => {
  const refused: Record<string, { dests: string[]; says: RegExp }> = {
    "dest ../x": { dests: ["../x"], says: /must be an absolute path/ },
    "dest /../x": { dests: ["/../x"], says: /must not have a "\.\." component/ },
    "dest a/../../b": { dests: ["a/../../b"], says: /must be an absolute path/ },
    "dest /a/../../b": { dests: ["/a/../../b"], says: /must not have a "\.\." component/ },
    "dest /a/./b": { dests: ["/a/./b"], says: /must not have a "\." component/ },
    "dest with a NUL": { dests: ["/a\0b"], says: /must not have a NUL or control character/ },
    "dest with a newline": { dests: ["/a\nb"], says: /must not have a NUL or control character/ },
    "dest with a backslash": { dests: ["/a\\..\\b"], says: /must not have a backslash/ },
    "empty dest": { dests: [""], says: /must be an absolute path/ },
    "dest /": { dests: ["/"], says: /must not have an empty component/ },
    "dest //etc/passwd": { dests: ["//etc/passwd"], says: /must not have an empty component/ },
    "dest of a marker": {
      dests: ["/a/.cog/ready"],
      says: /the component "\.cog", which is reserved/,
    },
    "dest of a temporary file": { dests: ["/.ocibundle-lock"], says: /which is reserved/ },
    "dest with a name of 300 bytes": {
      dests: [`/${"x".repeat(300)}`],
      says: /more than 255 bytes/,
    },
    "dest of a Windows device": { dests: ["/a/con"], says: /"con", a device on Windows/ },
    "dest with a drive letter": { dests: ["/C:/x"], says: /must not start with a drive letter/ },
    "dest of a lone space": { dests: ["/a/ "], says: /ends with a dot or a space/ },
    "dest that turns the direction of text": {
      dests: ["/a\u202Egpj.exe"],
      says: /dest "\/a\\u202egpj\.exe" must not have an invisible or bidirectional control character/,
    },
    "dest of 1.9 million parts": {
      dests: ["/a".repeat(1_900_000)],
      says: /dest "(?:\/a)+…" must have at most 4096 bytes/,
    },
    "same dest twice": { dests: ["/a/b", "/a/b"], says: /dest "\/a\/b" is also used by "0"/ },
    "dest under another": { dests: ["/a/b", "/a/b/c"], says: /is nested under "\/a\/b"/ },
  };
  for (const [what, { dests, says }] of Object.entries(refused)) {
    test.concurrent(`${what} is refused, and nothing is written`, async () => {
      const weights = dests.map((dest, index) => ({
        name: String(index),
        bytes: text(`weight ${index}`),
        dest,
      }));
      await using server = await serveModel(makeModel(weights));
      using bench = openBench("hostile");
      const { code, stderr } = await bench.run(["pull", server.reference, "-o", "a/b/models"]);
      expect(stderr).toMatch(says);
      expect(code).toBe(2);
      expect(server.asked).toEqual([]);
      expect(filesBelow(bench.path("a"))).toEqual(["b/models/.cog/failed"]);
    }, 60_000);
  }

  test.concurrent("dest /etc/passwd writes that file below the directory, and no other", async () => {
    await using server = await serveModel(
      makeModel([{ name: "x", bytes: text("not a password"), dest: "/etc/passwd" }]),
    );
    using bench = openBench("hostile");
    const before = readFileSync("/etc/passwd", "utf8");
    expect((await bench.run(["pull", server.reference, "-o", "models"])).code).toBe(0);
    expect(filesBelow(bench.path("models"))).toEqual(["etc/.cog/ready", "etc/passwd"]);
    expect(readFileSync("/etc/passwd", "utf8")).toBe(before);
  }, 60_000);

  test.concurrent("dest of a symbolic link replaces the link when forced, and leaves what it points to", async () => {
    await using server = await serveModel(
      makeModel([{ name: "x", bytes: text("new"), dest: "/a/x" }]),
    );
    using bench = openBench("hostile");
    mkdirSync(bench.path("models/a"), { recursive: true });
    writeFileSync(bench.path("precious"), "precious");
    symlinkSync("../../precious", bench.path("models/a/x"));
    const args = ["pull", server.reference, "-o", "models"];
    expect(await bench.run(args)).toMatchObject({
      code: 8,
      stderr: expect.stringMatching(/models\/a\/x" exists with different content/),
    });
    expect((await bench.run([...args, "--force"])).code).toBe(0);
    expect(readFileSync(bench.path("models/a/x"), "utf8")).toBe("new");
    expect(readFileSync(bench.path("precious"), "utf8")).toBe("precious");
  }, 60_000);

  const sizes: Record<string, { size: number; says: RegExp; code: number }> = {
    "2^53": { size: 2 ** 53, says: /size/, code: 2 },
    "2^53 - 1": {
      size: 2 ** 53 - 1,
      says: /no space left on the disk of .*: 8,589,934,\d+ MiB needed/,
      code: 7,
    },
    "-1": { size: -1, says: /size/, code: 2 },
    "1.5": { size: 1.5, says: /size/, code: 2 },
  };
  for (const [what, { size, says, code }] of Object.entries(sizes)) {
    test.concurrent(`size ${what} is refused before a byte of it is asked for`, async () => {
      const model = makeModel([{ name: "x", bytes: text("x") }], (entry) => ({
        ...entry,
        size,
        sizeUncompressed: size,
      }));
      await using server = await serveModel(model);
      using bench = openBench("hostile");
      for (const flags of [[], ["--no-cache"]]) {
        const ended = await bench.run(["pull", server.reference, "-o", "models", ...flags]);
        expect(ended.stderr).toMatch(says);
        expect(ended.code).toBe(code);
      }
      expect(server.asked).toEqual([]);
    }, 60_000);
  }

  test.concurrent("same digest in two sizes is refused", async () => {
    const twins = ["a", "b"].map((name) => ({ name, bytes: text("twins") }));
    const model = makeModel(twins, (entry) =>
      entry.name === "a" ? entry : { ...entry, size: 6, sizeUncompressed: 6 },
    );
    await using server = await serveModel(model);
    using bench = openBench("hostile");
    const { code, stderr } = await bench.run(["pull", server.reference, "-o", "models"]);
    expect(stderr).toMatch(/has two sizes: 5 and 6 bytes/);
    expect(code).toBe(2);
  }, 60_000);

  test.concurrent("digests of two blobs that are each other's originals does not hang", async () => {
    const originals = [text("one"), text("two")] as const;
    const digests = originals.map((bytes) => digestOf(bytes) as WeightEntry["digest"]);
    const model = makeModel(
      originals.map((bytes, index) => ({ name: String(index), bytes, compression: "gzip" })),
      (entry) => ({
        ...entry,
        digest: digests[entry.name === "0" ? 1 : 0] ?? entry.digest,
        digestOriginal: digests[entry.name === "0" ? 0 : 1] ?? entry.digest,
        size: 3,
      }),
    );
    const blobs = new Map(originals.map((bytes, index) => [String(digests[index]), bytes]));
    await using server = await serveModel({ ...model, blobs });
    using bench = openBench("hostile");
    const { code, stderr } = await bench.run(["pull", server.reference, "-o", "models"]);
    expect(stderr).toMatch(/is not valid gzip data/);
    expect(code).toBe(5);
  }, 60_000);

  test.concurrent("10,000 files is pulled, and then kept", async () => {
    const weights = manyFiles(10_000);
    await using server = await serveModel(makeModel(weights));
    using bench = openBench("hostile");
    const args = ["pull", server.reference, "-q", "-o", "models", "--no-cache"];
    const first = await bench.run(args);
    expect({ code: first.code, stderr: first.stderr }).toEqual({ code: 0, stderr: "" });
    expect(server.asked.length).toBe(10_000);
    const second = await bench.run(args);
    expect({ code: second.code, stderr: second.stderr }).toEqual({ code: 0, stderr: "" });
    expect(server.asked.length).toBe(10_000);
    expect(filesBelow(bench.path("models")).length).toBe(10_001);
    for (const { dest, bytes } of weights.filter((_, index) => index % 97 === 0)) {
      expect(sameBytes(bench.path("models", dest), bytes)).toBe(true);
    }
  }, 120_000);

  test.concurrent("1,000 files is pulled through the cache, and then from it", async () => {
    const weights = manyFiles(1000);
    await using server = await serveModel(makeModel(weights));
    using bench = openBench("hostile");
    for (const directory of ["models", "others"]) {
      const { code, stderr } = await bench.run(["pull", server.reference, "-q", "-o", directory]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      for (const { dest, bytes } of weights) {
        expect(sameBytes(bench.path(directory, dest), bytes)).toBe(true);
      }
    }
    expect(server.asked.length).toBe(1000);
    expect(filesBelow(join(bench.cache, "tmp"))).toEqual([]);
    expect(filesBelow(join(bench.cache, "locks"))).toEqual([]);
  }, 60_000);
});

const manyFiles = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    name: String(index),
    bytes: text(`weight ${index}`),
    dest: `/w/${index % 100}/${index}`,
  }));

/** A stream of zeros, compressed: `bytes` of it. */
async function bomb(compressor: ReturnType<typeof createGzip>, bytes: number): Promise<Uint8Array> {
  const zeros = new Uint8Array(8 * MiB);
  const chunks: Uint8Array[] = [];
  compressor.on("data", (chunk: Uint8Array) => chunks.push(chunk));
  const ended = new Promise((resolve) => compressor.once("end", resolve));
  for (let at = 0; at < bytes; at += zeros.length) {
    if (!compressor.write(zeros)) {
      await new Promise<void>((resolve) => void compressor.once("drain", resolve));
    }
  }
  compressor.end();
  await ended;
  return Buffer.concat(chunks);
}

describe("what decompresses to far more than it may is cut off", () => {
  const bombs = {
    gzip: { make: () => bomb(createGzip({ level: 9 }), 512 * MiB), most: MiB },
    zstd: { make: () => bomb(createZstdCompress(), 2048 * MiB), most: MiB },
  } as const;
  for (const [compression, { make, most }] of Object.entries(bombs)) {
    test(
      compression,
      async () => {
        const blob = await make();
        expect(blob.length).toBeLessThan(most);
        const model = makeModel([{ name: "bomb", bytes: text("small") }], (entry) => ({
          ...entry,
          digest: digestOf(blob) as WeightEntry["digest"],
          size: blob.length,
          sizeUncompressed: 3 * MiB,
          mediaType: `application/vnd.cog.weights.layer.v1+${compression as "gzip" | "zstd"}`,
        }));
        await using server = await serveModel({
          ...model,
          blobs: new Map([[digestOf(blob), blob]]),
        });
        for (const flags of [[], ["--no-cache"]]) {
          using bench = openBench("bomb");
          const { code, stderr } = await bench.run([
            "pull",
            server.reference,
            "-o",
            "models",
            ...flags,
          ]);
          expect(stderr).toMatch(/decompresses to more than 3145728 bytes/);
          expect(code).toBe(5);
          expect(filesBelow(bench.path("models"))).toEqual(["src/weights/.cog/failed"]);
          expect(filesBelow(join(bench.cache, "tmp"))).toEqual([]);
          expect(filesBelow(join(bench.cache, "blobs"))).toEqual([]);
        }
      },
      60_000,
    );
  }
});

describe("a gzip media type over plain bytes", () => {
  test("is restored with a warning where the digests say so", async () => {
    const bytes = text("plain weights, by their digests");
    const model = makeModel([{ name: "quirk", bytes }], (entry) => ({
      ...entry,
      mediaType: "application/vnd.cog.weights.layer.v1+gzip",
    }));
    await using server = await serveModel(model);
    for (const flags of [[], ["--no-cache"]]) {
      using bench = openBench("quirk");
      const args = ["pull", server.reference, "-o", "models", ...flags];
      const { code, stderr } = await bench.run(args);
      expect(code).toBe(0);
      expect(stderr).toMatch(/warning: weight "quirk": its media type is gzip/);
      expect(sameBytes(bench.path("models/src/weights/quirk"), bytes)).toBe(true);
      expect((await bench.run(["verify", server.reference, "--dir", "models"])).code).toBe(0);
    }
  });

  test("is refused where the digests say otherwise", async () => {
    const bytes = text("not compressed");
    const model = makeModel([{ name: "lie", bytes }], (entry) => ({
      ...entry,
      digestOriginal: digestOf(gzipSync(bytes)) as WeightEntry["digest"],
      mediaType: "application/vnd.cog.weights.layer.v1+gzip",
    }));
    await using server = await serveModel(model);
    using bench = openBench("quirk");
    const { code, stderr } = await bench.run(["pull", server.reference, "-o", "models"]);
    expect(stderr).toMatch(/is not valid gzip data/);
    expect(code).toBe(5);
    expect(existsSync(bench.path("models/src/weights/lie"))).toBe(false);
  });
});
