import { afterAll, describe, expect, test } from "bun:test";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OcibundleError } from "../../../../src/errors.ts";
import { answerMemory } from "../../../../src/model/serve/answer-memory.ts";
import { recentBlocks } from "../../../../src/transfer/download/recent-blocks.ts";
import { createFeed } from "../../../../src/model/serve/blob-feed.ts";

const directory = await mkdtemp(join(tmpdir(), "feed-"));
afterAll(() => rm(directory, { recursive: true }));
const content = Buffer.from("0123456789");
const signal = new AbortController().signal;
const wrong = new OcibundleError("integrity", "the digest is another");

async function feedOf(name: string, reserve = { bytes: 0, every: 60_000 }) {
  const path = join(directory, name);
  await writeFile(path, content);
  const told = { idle: 0, tainted: 0 };
  const feed = createFeed({
    size: content.length,
    memory: answerMemory(),
    reserve,
    onIdle: () => (told.idle += 1),
    onTaint: () => (told.tainted += 1),
  });
  return { feed, path, told };
}

/** Reads all, and tells how much has come whenever it is asked. */
function reading(chunks: AsyncIterable<Uint8Array>) {
  const state = { text: "" };
  const done = (async () => {
    for await (const chunk of chunks) state.text += Buffer.from(chunk).toString();
    return state.text;
  })();
  // Who waits for it looks at its failure.
  done.catch(() => undefined);
  return { state, done };
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
};

describe("a file that is being fetched", () => {
  test("is handed on from memory where that has its bytes, and tells how far it was read", async () => {
    const { feed, path } = await feedOf("memory");
    const recent = recentBlocks().file();
    const reached: number[] = [];
    const told = { ...recent, reached: (position: number) => void reached.push(position) };
    const block = await recent.take(0);
    block?.bytes.set(Buffer.from("abcdefgh"));
    block?.publish();
    feed.grow(path, false, told);
    expect(reached).toEqual([Infinity]);
    const { state, done } = reading(feed.bytes({ start: 2, end: 10 }, { signal, verified: true }));
    feed.front(8);
    await until(() => state.text === "cdefgh");
    await until(() => reached.at(-1) === 8);
    // What begins anew may have other bytes.
    recent.restart();
    feed.verify();
    expect(await done).toBe("cdefgh89");
    expect(reached.at(-1)).toBe(Infinity);
  });

  test("is handed on behind its front, and its last byte when it is verified", async () => {
    const { feed, path, told } = await feedOf("front");
    const { state, done } = reading(feed.bytes({ start: 0, end: 10 }, { signal, verified: true }));
    feed.grow(path, false);
    feed.front(4);
    await until(() => state.text === "0123");
    feed.front(10);
    await until(() => state.text === "012345678");
    await rename(path, `${path}.moved`);
    feed.verify();
    feed.settle(`${path}.moved`);
    expect(await done).toBe("0123456789");
    expect(told).toEqual({ idle: 1, tainted: 0 });
  });

  test("is found where it gets its last name while it is opened", async () => {
    const { feed, path } = await feedOf("renamed");
    feed.grow(`${path}.gone`, false);
    feed.front(10);
    const { done } = reading(feed.bytes({ start: 0, end: 10 }, { signal, verified: true }));
    // Nothing is opened before these are done.
    for (let count = 0; count < 20; count += 1) await Promise.resolve();
    feed.settle(path);
    expect(await done).toBe("0123456789");
  });

  test("holds the last byte of every range back", async () => {
    const { feed, path } = await feedOf("range");
    feed.grow(path, false);
    feed.front(10);
    const held = reading(feed.bytes({ start: 2, end: 5 }, { signal, verified: true }));
    const glance = feed.bytes({ start: 2, end: 5 }, { signal, verified: false });
    expect(await reading(glance).done).toBe("234");
    await until(() => held.state.text === "23");
    feed.fail(wrong);
    await expect(held.done).rejects.toBe(wrong);
  });

  test("keeps bytes to send them one by one while nothing else comes, and never the last", async () => {
    const { feed, path } = await feedOf("reserve", { bytes: 4, every: 20 });
    feed.grow(path, false);
    feed.front(6);
    const sizes: number[] = [];
    const reader = async () => {
      for await (const chunk of feed.bytes({ start: 0, end: 8 }, { signal, verified: true })) {
        sizes.push(chunk.byteLength);
      }
    };
    const done = reader();
    await until(() => sizes.length === 5);
    // Two at once, and the four that were kept.
    expect(sizes).toEqual([2, 1, 1, 1, 1]);
    feed.front(10);
    await until(() => sizes.length === 6);
    // Another reader, which began later, has been sent as many: the last one waits for more than its turn.
    const later = reading(feed.bytes({ start: 0, end: 5 }, { signal, verified: true }));
    await until(() => later.state.text === "0123");
    expect(sizes).toEqual([2, 1, 1, 1, 1, 1]);
    feed.verify();
    expect(await later.done).toBe("01234");
    await done;
    expect(sizes).toEqual([2, 1, 1, 1, 1, 1, 1]);
  });

  test("gives all of a range that is proven, and waits for the whole at the end of the file", async () => {
    const { feed, path, told } = await feedOf("proven");
    feed.grow(path, false);
    const first = reading(feed.bytes({ start: 2, end: 5 }, { signal, verified: true }));
    const whole = reading(feed.bytes({ start: 0, end: 10 }, { signal, verified: true }));
    const last = reading(feed.bytes({ start: 8, end: 10 }, { signal, verified: true }));
    feed.front(7, 4);
    await until(() => first.state.text === "23" && whole.state.text === "0123456");
    // What lies behind the proven bytes is fetched again: nobody but who has some of it is cut.
    feed.front(5, 5);
    expect(await first.done).toBe("234");
    await expect(whole.done).rejects.toThrow("the sent content does not match its digest");
    feed.front(10, 10);
    await until(() => last.state.text === "8");
    feed.verify();
    expect(await last.done).toBe("89");
    expect(told.tainted).toBe(1);
  });

  test("that turns out wrong cuts who has bytes of it, and says so", async () => {
    const { feed, path, told } = await feedOf("wrong");
    feed.grow(path, false);
    const early = reading(feed.bytes({ start: 0, end: 10 }, { signal, verified: true }));
    const late = reading(feed.bytes({ start: 8, end: 10 }, { signal, verified: true }));
    feed.front(5);
    await until(() => early.state.text === "01234");
    // A second try brings other bytes.
    feed.front(0);
    await expect(early.done).rejects.toThrow("the sent content does not match its digest");
    feed.front(10);
    feed.settle(path);
    expect(await late.done).toBe("89");
    expect(told.tainted).toBe(1);
  });

  test("is followed by its size where it is decompressed", async () => {
    const { feed, path } = await feedOf("growing");
    await writeFile(path, "");
    feed.grow(path, true);
    // That of what it is made from.
    feed.front(3);
    const { state, done } = reading(feed.bytes({ start: 0, end: 10 }, { signal, verified: true }));
    await writeFile(path, content.subarray(0, 6));
    await until(() => state.text === "012345");
    await writeFile(path, content);
    feed.settle(path);
    expect(await done).toBe("0123456789");
  });

  test("ends for one client alone", async () => {
    const { feed, path, told } = await feedOf("gone");
    feed.grow(path, false);
    const gone = new AbortController();
    const left = reading(
      feed.bytes({ start: 0, end: 10 }, { signal: gone.signal, verified: true }),
    );
    const stays = reading(feed.bytes({ start: 0, end: 10 }, { signal, verified: true }));
    feed.front(5);
    await until(() => left.state.text === "01234");
    gone.abort();
    expect(await left.done).toBe("01234");
    expect(told.idle).toBe(0);
    feed.front(10);
    feed.settle(path);
    expect(await stays.done).toBe("0123456789");
  });

  test("is waited for at its beginning, and not for ever", async () => {
    const { feed, path } = await feedOf("begun");
    await feed.begun(1);
    const begun = feed.begun(60_000);
    feed.grow(path, false);
    feed.front(1);
    await begun;
    feed.fail(wrong);
    await expect(feed.begun(60_000)).rejects.toBe(wrong);
  });
});
