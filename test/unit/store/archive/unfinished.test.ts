import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BlobToMove } from "../../../../src/oci/content.ts";
import { type Digest, digestOf } from "../../../../src/oci/digest.ts";
import { createLayoutArchive } from "../../../../src/store/archive/writer.ts";

const { signal } = new AbortController();
let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ocibundle-unfinished-"));
  path = join(directory, "out.tar");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const MiB = 1024 * 1024;
const contents = [1, 2, 3].map((seed) =>
  Buffer.from(new Uint8Array(MiB + seed).map((_byte, index) => (index * seed) % 251)),
);
const wanted = new Map<Digest, number>(contents.map((bytes) => [digestOf(bytes), bytes.length]));

/** Blobs that note from where on they were asked for. */
function blobs(asked: [number, number][]): BlobToMove[] {
  return contents.map((bytes, index) => ({
    descriptor: { mediaType: "a/b", digest: digestOf(bytes), size: bytes.length },
    label: String(index),
    group: "image",
    source: async () => ({
      kind: "stream",
      async open({ start }) {
        asked.push([index, start]);
        return new Blob([bytes.subarray(start)]).stream();
      },
    }),
  }));
}

interface Written {
  /** Which blob was asked for, and from where on. */
  asked: [number, number][];
  outcomes: string[];
  told: number;
}

/** Writes the archive to its end. */
async function write(wants: ReadonlyMap<Digest, number> | undefined = wanted): Promise<Written> {
  const written: Written = { asked: [], outcomes: [], told: 0 };
  const writer = await createLayoutArchive(path, wants);
  const onBytes = (bytes: number): void => void (written.told += bytes);
  for (const blob of blobs(written.asked)) {
    written.outcomes.push(await writer.writeBlob(blob, { signal, onBytes }));
  }
  await writer.commit(signal);
  await writer.discard();
  return written;
}

/** Writes blobs and gives up; returns what is left. */
async function giveUp(count: number): Promise<string> {
  const writer = await createLayoutArchive(path, wanted);
  for (const blob of blobs([]).slice(0, count)) await writer.writeBlob(blob, { signal });
  await writer.discard();
  const [left] = readdirSync(directory);
  return join(directory, left ?? "");
}

let whole: Buffer;
beforeEach(async () => {
  await write();
  whole = readFileSync(path);
  await rm(path);
});

/** What must hold however an earlier run ended. */
function expectWhole({ told }: Written): void {
  expect(readFileSync(path).equals(whole)).toBe(true);
  expect(readdirSync(directory)).toEqual(["out.tar"]);
  expect(told).toBe(contents.reduce((sum, { length }) => sum + length, 0));
}

describe("an archive that was not finished", () => {
  test("is gone on with: what is whole is only compared, what was cut is asked for from there on", async () => {
    const left = await giveUp(2);
    truncateSync(left, statSync(left).size - 5000);
    const written = await write();
    expectWhole(written);
    expect(written.outcomes).toEqual(["present", "sent", "sent"]);
    const [cut, third] = written.asked;
    expect(cut?.[0]).toBe(1);
    expect(cut?.[1]).toBeGreaterThan(MiB - 10_000);
    expect(third).toEqual([2, 0]);
  });

  test("and was damaged is made right where it lies", async () => {
    const left = await giveUp(2);
    const bytes = readFileSync(left);
    bytes[5000] = (bytes[5000] ?? 0) ^ 1;
    bytes[bytes.length - 5000] = (bytes.at(-5000) ?? 0) ^ 1;
    writeFileSync(left, bytes);
    truncateSync(left, bytes.length - 4000);
    const written = await write();
    expectWhole(written);
    expect(written.asked.map(([index]) => index)).toContain(0);
  });

  test.each([
    ["is no archive", () => Buffer.alloc(3 * MiB, "x")],
    ["is empty", () => Buffer.alloc(0)],
    ["is zeros", () => Buffer.alloc(3 * MiB)],
    [
      "goes on with something else",
      (left: Buffer) => Buffer.concat([left, Buffer.alloc(MiB, "x")]),
    ],
    ["is whole", () => whole],
  ])("and %s comes to the same", async (_what, make: (left: Buffer) => Buffer) => {
    const left = await giveUp(2);
    writeFileSync(left, make(readFileSync(left)));
    expectWhole(await write());
  });

  test("of other content is removed", async () => {
    await giveUp(2);
    const third = contents[2] ?? Buffer.alloc(0);
    const writer = await createLayoutArchive(path, new Map([[digestOf(third), third.length]]));
    const [, , blob] = blobs([]);
    if (blob !== undefined) await writer.writeBlob(blob, { signal });
    await writer.commit(signal);
    expect(readdirSync(directory)).toEqual(["out.tar"]);
    expect(statSync(path).size).toBeLessThan(2 * MiB);
  });

  test("is left alone while its run lives", async () => {
    const other = await createLayoutArchive(path, wanted);
    await other.writeBlob(blobs([])[0] as BlobToMove, { signal });
    const { asked } = await write();
    expect(asked.length).toBe(3);
    expect(readFileSync(path).equals(whole)).toBe(true);
    await other.discard();
    expect(readdirSync(directory).length).toBe(2);
  });

  test("because its bytes were wrong is not kept", async () => {
    const writer = await createLayoutArchive(path, wanted);
    const [first, second] = blobs([]);
    if (first === undefined || second === undefined) throw new TypeError("there are three");
    await writer.writeBlob(first, { signal });
    const wrong = { ...second, source: first.source };
    await expect(writer.writeBlob(wrong, { signal })).rejects.toMatchObject({ code: "integrity" });
    await writer.discard();
    expect(readdirSync(directory)).toEqual([]);
  });
});
