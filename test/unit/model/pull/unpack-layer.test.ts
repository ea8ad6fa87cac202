import { describe, expect, test } from "bun:test";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { cacheFailure } from "../../../../src/store/cache/directory.ts";
import { openScratch, sweepScratch } from "../../../../src/model/pull/scratch-cache.ts";
import { unpackLayer, type UnpackedEntry } from "../../../../src/model/pull/unpack-layer.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { cacheAt } from "../../../../src/store/cache/cache.ts";
import { tarBytes, tarEntry } from "../../../support/store/tar-bytes.ts";
import { mountTmpfs } from "../../../support/store/small-disk.ts";
import { failureOf } from "../../../support/failure.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

async function unpack(
  bytes: Uint8Array,
  { overlay = true, diffId, at }: { overlay?: boolean; diffId?: string; at?: string } = {},
): Promise<UnpackedEntry[]> {
  const directory = await temporaryDirectory();
  const path = join(directory, "layer");
  await writeFile(path, bytes);
  return unpackLayer(digestOf(bytes), path, {
    cache: cacheAt(at ?? join(directory, "cache")),
    signal: new AbortController().signal,
    wants: () => true,
    expected: undefined,
    overlay,
    diffId,
    origin: "here",
    on: "it",
  });
}

const one = tarBytes({ name: "a", content: "some content" });
const file = { type: "file", name: "a", size: 12, digest: digestOf("some content") } as const;

describe("a layer of an image", () => {
  test("may have absolute names, devices and FIFOs", async () => {
    const bytes = tarBytes(
      { name: "dev/null", type: "CharacterDevice" },
      { name: "run/x", type: "FIFO" },
      { name: "/a", content: "some content" },
    );
    expect(await unpack(bytes)).toEqual([file]);
    expect((await failureOf(unpack(bytes, { overlay: false }))).message).toContain(
      "CharacterDevice",
    );
  });

  test("may be empty", async () => {
    expect(await unpack(new Uint8Array(0))).toEqual([]);
    expect((await failureOf(unpack(new Uint8Array(0), { overlay: false }))).code).toBe("file");
  });

  test("has to have the diff ID of the image's config", async () => {
    expect(await unpack(gzipSync(one), { diffId: digestOf(one) })).toEqual([file]);
    const error = await failureOf(unpack(gzipSync(one), { diffId: digestOf("other") }));
    expect(error.code).toBe("integrity");
    expect(error.message).toContain(`expected ${digestOf("other")}`);
  });

  for (const [name, compress] of [
    ["gzip", gzipSync],
    ["zstd", zstdCompressSync],
  ] as const) {
    test(`is read from several ${name} frames, and refused with rubbish behind them or cut off`, async () => {
      const [a, b] = [compress(one.subarray(0, 700)), compress(one.subarray(700))];
      expect(await unpack(Buffer.concat([a, b]))).toEqual([file]);
      for (const bytes of [
        Buffer.concat([a, b, Buffer.from("rubbish")]),
        compress(one).subarray(0, -6),
      ]) {
        expect((await failureOf(unpack(bytes))).code).toBe("integrity");
      }
    });
  }

  test("with a name longer than any system has is refused at once", async () => {
    const name = `${"a/".repeat(300_000)}b`;
    const long = tarEntry({ name: "long", type: "NextFileHasLongPath", content: name });
    const error = await failureOf(unpack(Buffer.concat([long, one])));
    expect(error.message).toBe("it: an entry has a name of 600001 characters");
  });

  test("that is larger than the disk leaves the disk as it was", async () => {
    const disk = mountTmpfs(4_000_000);
    // Only root can mount.
    if (disk === undefined) return;
    try {
      const bomb = tarBytes({ name: "zeros", content: new Uint8Array(64_000_000) });
      const error = await failureOf(unpack(gzipSync(bomb), { at: disk.path }));
      expect(error.code).toBe("system");
      expect(error.message).toContain("62 MiB needed");
    } finally {
      disk.remove();
    }
  });
});

test("a cache of one run on a full disk speaks of the directory that is pulled into", () => {
  const full = Object.assign(new Error("no space"), { code: "ENOSPC" });
  expect(cacheFailure("/data/models/.ocibundle-unpack-0a1b", full)).toMatchObject({
    code: "system",
    message: '"/data/models": cannot write: no space left on device',
    hint: "free up space on that file system, or write elsewhere",
  });
});

test("what a killed run unpacked without the cache is removed, what another still needs is not", async () => {
  const directory = await temporaryDirectory();
  const left = join(directory, `.ocibundle-unpack-${crypto.randomUUID()}`);
  await mkdir(left);
  await writeFile(`${left}.lock`, "");
  const scratch = await openScratch(directory);
  await mkdir(scratch.cache.root);
  expect(await sweepScratch(directory)).toBe(1);
  expect((await readdir(directory)).filter((name) => !name.endsWith(".lock"))).toHaveLength(1);
  await scratch.remove();
  expect(await readdir(directory)).toEqual([]);
});
