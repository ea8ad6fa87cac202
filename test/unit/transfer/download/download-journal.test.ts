import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  appendFileSync,
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
import { rangeSet } from "../../../../src/transfer/download/range-set.ts";

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

test("a range that was added is read, and one that follows it takes no more room", async () => {
  writer.write([{ start: 0, end: 10 }]);
  writer.add({ start: 500, end: 600 }, []);
  const { size } = statSync(place().journal);
  writer.add({ start: 600, end: 700 }, []);
  writer.add({ start: 10, end: 20 }, []);
  expect(statSync(place().journal).size).toBe(size);
  expect(await readJournal(place(), descriptor)).toEqual([
    { start: 0, end: 20 },
    { start: 500, end: 700 },
  ]);
});

test("ranges that were added in any order are read as what they come to", async () => {
  writer.add({ start: 500, end: 600 }, [{ start: 500, end: 600 }]);
  writer.add({ start: 100, end: 500 }, []);
  writer.add({ start: 550, end: 560 }, []);
  writer.add({ start: 0, end: 20 }, []);
  expect(await readJournal(place(), descriptor)).toEqual([
    { start: 0, end: 20 },
    { start: 100, end: 600 },
  ]);
});

test("a journal that grows is begun anew", async () => {
  const written = rangeSet();
  for (let start = 0; start < 40_000; start += 2) {
    const range = { start, end: start + 1 };
    written.add(range);
    if (start === 30_000) {
      written.remove({ start: 0, end: start });
      writer.write(written.ranges);
    }
    writer.add(range, written.ranges);
  }
  expect(await readJournal(place(), descriptor)).toEqual([...written.ranges]);
  const before = statSync(place().journal).size;
  for (let start = 0; start < 100_000; start += 3) {
    const range = { start: 500_000 + start, end: 500_000 + start + 1 };
    writer.add(range, [{ start: 7, end: 9 }, range]);
  }
  expect(statSync(place().journal).size).toBeLessThan(1024 * 1024);
  expect(statSync(place().journal).size).toBeGreaterThan(before);
  const read = await readJournal(place(), descriptor);
  expect(read?.[0]).toEqual({ start: 7, end: 9 });
  expect(read?.at(-1)).toEqual({ start: 599_999, end: 600_000 });
});

test.each([
  ["a part of a line", "            1000    "],
  ["zeros", "\0".repeat(64)],
])("what was read ends before %s", async (_, rest) => {
  writer.write(many(3));
  appendFileSync(place().journal, rest);
  expect(await readJournal(place(), descriptor)).toEqual(many(3));
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
