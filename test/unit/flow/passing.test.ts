import { expect, test } from "bun:test";
import { type ByteSource, passing, slice } from "../../../src/flow/passing.ts";

/** A source of texts that notes whether it was cancelled; `fault` is what it ends with. */
function sourceOf(texts: readonly string[], fault?: Error): ByteSource & { cancelled: unknown[] } {
  const left = texts.map((text) => new TextEncoder().encode(text));
  const cancelled: unknown[] = [];
  return {
    cancelled,
    read() {
      const value = left.shift();
      if (value !== undefined) return Promise.resolve({ done: false, value });
      return fault === undefined ? Promise.resolve({ done: true }) : Promise.reject(fault);
    },
    cancel(reason) {
      cancelled.push(reason);
      return Promise.resolve();
    },
  };
}

const textOf = (stream: ReadableStream<Uint8Array>): Promise<string> => new Response(stream).text();
const failureOf = (stream: ReadableStream<Uint8Array>): Promise<unknown> =>
  textOf(stream).catch((error: unknown) => error);

test("bytes pass unchanged, and each callback is called in its turn", async () => {
  const said: string[] = [];
  const stream = passing(sourceOf(["ab", "c"]), {
    onRead: () => said.push("read"),
    onChunk: (chunk) => void said.push(new TextDecoder().decode(chunk)),
    onEnd: () => said.push("end"),
  });
  expect(await textOf(stream)).toBe("abc");
  expect(said).toEqual(["read", "ab", "read", "c", "read", "end"]);
});

test("nothing is read before it is asked for", async () => {
  let reads = 0;
  const stream = passing(new Blob(["abc"]).stream(), { onRead: () => reads++ });
  await Promise.resolve();
  expect(reads).toBe(0);
  await stream.cancel();
});

test("a chunk can be replaced, and an empty one is left out", async () => {
  const stream = passing(sourceOf(["ab", "cd", "ef"]), {
    onChunk: (chunk) => (chunk[0] === 0x63 ? new Uint8Array(0) : chunk.subarray(1)),
  });
  expect(await textOf(stream)).toBe("bf");
});

test.each(["onRead", "onChunk", "onEnd"] as const)(
  "what %s throws fails the stream and cancels the source",
  async (name) => {
    const fault = new Error("no");
    const source = sourceOf(["ab"]);
    const failing = () => {
      throw fault;
    };
    expect(await failureOf(passing(source, { [name]: failing }))).toBe(fault);
    expect(source.cancelled).toEqual([fault]);
  },
);

test("a failure of the source is told", async () => {
  const fault = new Error("broken");
  const told: unknown[] = [];
  const onError = (error: unknown): void => void told.push(error);
  expect(await failureOf(passing(sourceOf(["ab"], fault), { onError }))).toBe(fault);
  expect(told).toEqual([fault]);
});

test("a reader that cancels ends the source, and is no failure", async () => {
  const errors: unknown[] = [];
  const waiting = Promise.withResolvers<{ done: boolean }>();
  const source = { ...sourceOf([]), read: () => waiting.promise };
  const stream = passing(source, { onError: (error) => errors.push(error) });
  const reader = stream.getReader();
  const reading = reader.read();
  await reader.cancel("enough");
  waiting.resolve({ done: true });
  expect(await reading).toEqual({ done: true, value: undefined });
  expect(source.cancelled).toEqual(["enough"]);
  expect(errors).toEqual([]);
});

test.each([
  [0, 6, "abcdef"],
  [1, 4, "bcde"],
  [2, 2, "cd"],
  [3, 1, "d"],
  [6, 0, ""],
])("a slice from %d of %d bytes", async (start, length, expected) => {
  const source = passing(sourceOf(["ab", "cd", "ef"]));
  expect(await textOf(slice(source, start, length))).toBe(expected);
});

test("a slice of a stream that is too short ends, or fails as it is told to", async () => {
  expect(await textOf(slice(new Blob(["abc"]).stream(), 1, 5))).toBe("bc");
  const short = slice(new Blob(["abc"]).stream(), 1, 5, (bytes) => new Error(`${bytes} bytes`));
  const failure = await failureOf(short);
  expect(failure).toEqual(new Error("3 bytes"));
});
