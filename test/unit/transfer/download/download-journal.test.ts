import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../../../src/oci/digest.ts";
import {
  type JournalWriter,
  journalWriter,
  readJournal,
  removeJournal,
} from "../../../../src/transfer/download/download-journal.ts";

const descriptor = { mediaType: "a/b", digest: digestOf("x"), size: 1_000_000 };

let directory: string;
let writer: JournalWriter;
const place = () => ({ partial: join(directory, "partial"), journal: join(directory, "journal") });

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-journal-"));
  writeFileSync(place().partial, "");
  truncateSync(place().partial, descriptor.size);
  const { ino } = statSync(place().partial, { bigint: true });
  writer = journalWriter(place(), descriptor, ino);
});
afterEach(() => {
  writer.close();
  rmSync(directory, { recursive: true });
});

const many = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ start: index * 1000, end: index * 1000 + 500 }));

test("what was written last is what is read", async () => {
  for (const count of [1, 30, 2, 400, 3, 500, 40, 1]) {
    writer.write(many(count));
    expect(await readJournal(place(), descriptor)).toEqual(many(count));
  }
});

test("nothing is on disk before the first write", () => {
  expect(readdirSync(directory)).toEqual(["partial"]);
});

test("a journal of more ranges than anybody leaves behind tells of the first", async () => {
  writer.write(
    Array.from({ length: 10_000 }, (_, index) => ({ start: index * 2, end: index * 2 + 1 })),
  );
  expect((await readJournal(place(), descriptor))?.length).toBe(4096);
});

test("an empty journal says that nothing is there", async () => {
  writer.write([]);
  expect(await readJournal(place(), descriptor)).toEqual([]);
});

test("removing it leaves nothing", async () => {
  writer.write(many(1));
  expect(readFileSync(place().journal, "utf8")).toContain(descriptor.digest);
  await removeJournal(place());
  expect(readdirSync(directory)).toEqual(["partial"]);
});
