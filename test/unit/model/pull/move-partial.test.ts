import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FetchContext } from "../../../../src/model/pull/pull-context.ts";
import { wantedFiles } from "../../../../src/model/pull/pull-plan.ts";
import { movePartial } from "../../../../src/model/pull/move-partial.ts";
import type { WeightEntry } from "../../../../src/model/format/weight-entry.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { temporaryName } from "../../../../src/store/placement/materialize.ts";
import {
  type JournalPlace,
  journalWriter,
  readJournal,
} from "../../../../src/transfer/download/download-journal.ts";
import { entry as entryOf } from "../../../support/model/fixtures.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-take-over-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const bytes = new Uint8Array(3000).map((_byte, index) => index % 251);
const entry = entryOf("w", {
  dest: "/w",
  digest: digestOf(bytes),
  digestOriginal: digestOf(bytes),
  size: bytes.length,
  sizeUncompressed: bytes.length,
}) as WeightEntry;

/** The entry's blob as it lies half fetched under a path. */
async function partAt(path: string, written: [number, number][]): Promise<JournalPlace> {
  const place = { partial: path, journal: `${path}.journal` };
  const file = await open(path, "wx");
  await file.truncate(bytes.length);
  for (const [start, end] of written) await file.write(bytes, start, end - start, start);
  const { ino } = await file.stat({ bigint: true });
  await file.close();
  const journal = journalWriter(place, entry, ino);
  journal.write(written.map(([start, end]) => ({ start, end })));
  journal.close();
  return place;
}

const take = (from: JournalPlace, alone = true): Promise<boolean> => {
  const root = join(directory, "models");
  const [file] = wantedFiles(root, [entry], new Map([["/w", ["w"]]]));
  if (file === undefined) throw new TypeError("there is one entry");
  const session = { signal: new AbortController().signal, emit: () => undefined };
  return movePartial(file, from, entry, { root, alone, session } as unknown as FetchContext);
};

const target = (): string => join(directory, "models", temporaryName("w"));

test("the parts that are there come with a journal that fits them", async () => {
  const written: [number, number][] = [
    [0, 1000],
    [2000, 2500],
  ];
  expect(await take(await partAt(join(directory, "part"), written))).toBe(true);
  const place = { partial: target(), journal: `${target()}.journal` };
  expect(await readJournal(place, entry)).toEqual(written.map(([start, end]) => ({ start, end })));
  const copy = readFileSync(target());
  expect(copy.length).toBe(bytes.length);
  expect(copy.subarray(0, 1000).equals(bytes.subarray(0, 1000))).toBe(true);
  expect(copy.subarray(2000, 2500).equals(bytes.subarray(2000, 2500))).toBe(true);
  expect(copy.subarray(1000, 2000).every((byte) => byte === 0)).toBe(true);
});

test("what an earlier run has left in the target is gone on with", async () => {
  const from = await partAt(join(directory, "part"), [[0, 10]]);
  expect(await take(from)).toBe(true);
  expect(await take(await partAt(join(directory, "other"), [[0, 2000]]))).toBe(false);
  expect(await readJournal({ partial: target(), journal: `${target()}.journal` }, entry)).toEqual([
    { start: 0, end: 10 },
  ]);
});

test("what no journal speaks for is not taken, nor into a directory that others write to", async () => {
  const from = await partAt(join(directory, "part"), [[0, 10]]);
  expect(await take(from, false)).toBe(false);
  rmSync(from.journal);
  expect(await take(from)).toBe(false);
  expect(await take({ partial: join(directory, "none"), journal: join(directory, "none") })).toBe(
    false,
  );
});

test("what is damaged where it should go is replaced", async () => {
  const from = await partAt(join(directory, "part"), [[0, 10]]);
  expect(await take(from)).toBe(true);
  writeFileSync(`${target()}.journal`, "{");
  expect(await take(from)).toBe(true);
  expect(readdirSync(join(directory, "models")).length).toBe(2);
});
