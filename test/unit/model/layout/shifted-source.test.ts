import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { joined } from "../../../../src/model/layout/joined-source.ts";
import { gathered } from "../../../../src/model/layout/shifted-source.ts";
import type { BlobSource } from "../../../../src/oci/content.ts";

const { signal } = new AbortController();
const bytes = randomBytes(3 * 1024 * 1024);
const pieces = [
  { start: 0, end: 10 },
  { start: 1_000_000, end: 2_600_000 },
  { start: 50, end: 51 },
  { start: 100, end: 200_100 },
];
const expected = Buffer.concat(pieces.map(({ start, end }) => bytes.subarray(start, end)));

let directory = "";
let path = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-pieces-"));
  path = join(directory, "file");
  writeFileSync(path, Buffer.concat([Buffer.alloc(7), bytes]));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** All chunks are kept until the last one has come. */
async function read(source: BlobSource, start: number, end: number): Promise<Buffer> {
  if (source.kind !== "stream") throw new Error(`a source of kind ${source.kind}`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of await source.open({ start, end }, signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const file = () => ({ kind: "file" as const, path, offset: 7 });
const makers: Record<string, () => BlobSource> = {
  gathered: () => gathered(file(), pieces),
  joined: () => {
    const shared = { source: () => Promise.resolve(file()), size: bytes.length };
    return joined(pieces.map((piece) => ({ ...piece, ...shared })));
  },
};

describe.each(Object.keys(makers))("pieces of a file, %s", (name) => {
  const source = () => makers[name]?.() ?? file();

  test("are their bytes one after another, in any range", async () => {
    for (const [start, end] of [
      [0, expected.length],
      [5, 20],
      [10, 10],
      [1_600_005, 1_600_200],
      [expected.length - 1, expected.length],
    ] as const) {
      const found = await read(source(), start, end);
      expect(found.equals(expected.subarray(start, end))).toBe(true);
    }
  });

  test("can be left before their end", async () => {
    const opened = source();
    if (opened.kind !== "stream") throw new Error(`a source of kind ${opened.kind}`);
    const reader = (await opened.open({ start: 0, end: expected.length }, signal)).getReader();
    expect((await reader.read()).value?.[0]).toBe(expected[0]);
    await reader.cancel();
  });
});

test("pieces of a file that is gone are a typed error", async () => {
  const source = gathered({ kind: "file", path: join(directory, "none"), offset: 0 }, pieces);
  await expect(read(source, 0, 5)).rejects.toThrow(`"${join(directory, "none")}"`);
});
