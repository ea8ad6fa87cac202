import { describe, expect, test } from "bun:test";
import { failureError } from "../../../src/http/message/failure.ts";
import type { ByteRange } from "../../../src/oci/content.ts";
import type { OpenPart } from "../../../src/remote/part.ts";
import { readAhead, type ReadAheadOptions } from "../../../src/remote/read-ahead.ts";
import { type Slots, slots } from "../../../src/remote/slots.ts";

const MiB = 1024 * 1024;
const file = new Uint8Array(23 * MiB + 5);
for (let at = 0; at < file.length; at += 4096) file[at] = at / 4096;
const all = { start: 0, end: file.length };

/** A server of the file: `answer` may give other bytes than those that were asked for. */
function serving(answer: (range: ByteRange, asked: number) => Promise<ByteRange> | ByteRange) {
  const asked: ByteRange[] = [];
  const open: OpenPart = async (range) => {
    asked.push(range);
    const got = await answer(range, asked.length);
    return { range: got, body: chunked(got) };
  };
  return { asked, open };
}

/** Chunks with memory of their own, of a size that fits nowhere. */
function chunked({ start, end }: ByteRange): ReadableStream<Uint8Array> {
  let at = start;
  return new ReadableStream({
    pull(controller) {
      if (at >= end) return controller.close();
      const until = Math.min(at + 300_001, end);
      controller.enqueue(file.slice(at, until));
      at = until;
    },
  });
}

const reader = (open: OpenPart, more: Partial<ReadAheadOptions> = {}, free: Slots = slots(5)) =>
  readAhead({ open, slots: free, name: "the file", isTooMany: () => false, ...more });

async function bytesOf(stream: ReadableStream<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  // A chunk is valid until the next one is asked for.
  for await (const chunk of stream) chunks.push(chunk.slice());
  return Buffer.concat(chunks);
}

const { signal } = new AbortController();
const isFile = (bytes: Buffer, { start, end }: ByteRange = all): boolean =>
  bytes.equals(file.subarray(start, end));
const sum = (ranges: readonly ByteRange[]): number =>
  ranges.reduce((bytes, { start, end }) => bytes + end - start, 0);
const broken = () => failureError("the file", "reset", { what: "the connection broke" });

test("parts are fetched at once and handed on in order, and their memory is given back", async () => {
  const free = slots(3);
  const { asked, open } = serving((range) => range);
  const stream = reader(open, {}, free)(all, signal);
  const chunks = stream.getReader();
  const first = (await chunks.read()).value;
  expect(asked).toHaveLength(4);
  expect(first?.byteLength).toBe(300_001);
  await chunks.read();
  expect(first?.byteLength).toBe(0);
  await chunks.cancel();
  expect(isFile(await bytesOf(reader(open, {}, free)(all, signal)))).toBe(true);
  // All were given back.
  expect([free.take(), free.take(), free.take(), free.take()]).toEqual([true, true, true, false]);
});

test("ranges that follow one another are asked for once, across their borders", async () => {
  const { asked, open } = serving((range) => range);
  const read = reader(open);
  const parts: Buffer[] = [];
  for (let start = 0; start < file.length; start += 5 * MiB) {
    const end = Math.min(start + 5 * MiB, file.length);
    parts.push(await bytesOf(read({ start, end }, signal, file.length)));
    if (start === 0) expect(asked.length).toBeGreaterThan(3);
  }
  expect(isFile(Buffer.concat(parts))).toBe(true);
  expect(sum(asked)).toBe(file.length);
});

test("a range that does not follow is read anew", async () => {
  const { asked, open } = serving((range) => range);
  const read = reader(open);
  await bytesOf(read({ start: 0, end: 5 * MiB }, signal, file.length));
  const again = { start: MiB, end: 3 * MiB };
  expect(isFile(await bytesOf(read(again, signal, file.length)), again)).toBe(true);
  expect(asked.filter(({ start }) => start === MiB)).toHaveLength(1);
});

test("nothing behind a range is fetched unless it is said to follow", async () => {
  const { asked, open } = serving((range) => range);
  const range = { start: 100, end: 5 * MiB };
  expect(isFile(await bytesOf(reader(open)(range, signal)), range)).toBe(true);
  expect(sum(asked)).toBe(range.end - range.start);
});

test("what breaks off goes on where it was, also ahead of its turn", async () => {
  const { asked, open } = serving((range) => range);
  const cut: OpenPart = async (range, stop) => {
    const answer = await open(range, stop);
    if (asked.length > 6) return answer;
    const { start } = range;
    return { ...answer, body: chunked({ start, end: start + MiB }) };
  };
  expect(isFile(await bytesOf(reader(cut)(all, signal)))).toBe(true);
});

test("without ranges, one answer brings all of it", async () => {
  const { open } = serving(() => all);
  const range = { start: 6 * MiB, end: file.length };
  expect(isFile(await bytesOf(reader(open)(range, signal)), range)).toBe(true);
});

test("all comes in one answer where that is wanted", async () => {
  const { asked, open } = serving((range) => range);
  expect(isFile(await bytesOf(reader(open, { inOneAnswer: true })(all, signal)))).toBe(true);
  expect(asked).toEqual([all]);
});

describe("failures", () => {
  test("of an answer that may not go on", async () => {
    const cut: OpenPart = (range) =>
      Promise.resolve({ range, body: chunked({ start: 0, end: 2 * MiB }) });
    const read = reader(cut, { inOneAnswer: true, goesOn: false });
    await expect(bytesOf(read(all, signal))).rejects.toThrow(
      `the response ended at byte ${2 * MiB}`,
    );
  });

  test("of answers without a byte, again and again", async () => {
    let asked = 0;
    const empty: OpenPart = (range) => {
      asked += 1;
      return Promise.resolve({ range, body: new Blob([]).stream() });
    };
    await expect(bytesOf(reader(empty, {}, slots(0))(all, signal))).rejects.toThrow(
      "ended at byte 0",
    );
    expect(asked).toBeLessThanOrEqual(4);
  });

  test("of too many connections end the fetching ahead, and nothing else", async () => {
    const { asked, open } = serving((_, count) => {
      if (count === 2) throw broken();
      return _;
    });
    const read = reader(open, { isTooMany: () => true }, slots(1));
    expect(isFile(await bytesOf(read(all, signal)))).toBe(true);
    expect(asked).toHaveLength(Math.ceil(file.length / (4 * MiB)) + 1);
  });

  test("an abort ends what is under way", async () => {
    const stop = new AbortController();
    const free = slots(2);
    const { open } = serving((range) => range);
    const read = reader(open, {}, free);
    await bytesOf(read({ start: 0, end: MiB }, stop.signal, file.length));
    stop.abort(new Error("enough"));
    const next = { start: MiB, end: 2 * MiB };
    await expect(bytesOf(read(next, stop.signal, file.length))).rejects.toThrow("enough");
    expect([free.take(), free.take(), free.take()]).toEqual([true, true, false]);
  });
});
