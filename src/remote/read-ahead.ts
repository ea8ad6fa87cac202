import { failureError, httpFailureOf } from "../http/message/failure.ts";
import { releaseBytes } from "../runtime/release-bytes.ts";
import { runtime } from "../runtime/current.ts";
import type { ByteRange } from "../oci/content.ts";

/** Bytes that are asked for in one request while several are under way for one file. */
const partBytes = 4 * 1024 * 1024;

/** Further parts that are fetched while one is handed on. */
const partsAhead = 4;

/** Parts that all files of a run may hold in memory together: 24 MiB. */
const partsOfRun = 6;

/**
 * Memory is given back each time that so much was handed on, in bytes: Bun's collector does not see how large the
 * chunks of streams are. A push of 2 GiB took 205 MB at most without this and 135 MB with it, at the same CPU time.
 */
const collectedBytes = 24 * 1024 * 1024;

/** How much of a part is handed on at once, in bytes. */
const pieceBytes = 128 * 1024;

/** Answers in a row that break off without a byte before the file is given up. */
const maxEmptyAnswers = 4;

/**
 * The memory that parts are fetched into ahead of their turn. It is used again: what waits for the garbage
 * collection would be several times as much.
 */
export interface Slots {
  /** The memory for one part, if some is left. */
  take(): Uint8Array | undefined;
  give(memory: Uint8Array): void;
  /** Counts bytes that left this memory, and those that never were in it. */
  handedOn(bytes: number): void;
  /** Lets nothing be fetched ahead any more: the server wants fewer connections. */
  stop(): void;
}

export function slots(count: number = partsOfRun): Slots {
  const free: Uint8Array[] = [];
  let left = count;
  let passed = 0;
  return {
    take() {
      if (left <= 0) return undefined;
      left -= 1;
      return free.pop() ?? new Uint8Array(partBytes);
    },
    give(memory) {
      left += 1;
      free.push(memory);
    },
    handedOn(bytes) {
      passed += bytes;
      if (passed < collectedBytes) return;
      passed = 0;
      runtime.collectGarbage();
    },
    stop: () => void (left = Number.NEGATIVE_INFINITY),
  };
}

/** What came for a range: the range itself, or more of the file where the server has no ranges. */
export interface PartAnswer {
  range: ByteRange;
  body: ReadableStream<Uint8Array>;
}

export type OpenPart = (range: ByteRange, signal: AbortSignal) => Promise<PartAnswer>;

export interface ReadAheadOptions {
  open: OpenPart;
  range: ByteRange;
  slots: Slots;
  signal: AbortSignal;
  /** For messages. */
  name: string;
  /** Whether a failure means that the server wants fewer connections. */
  isTooMany(error: unknown): boolean;
  /** Whether all is to come in one answer. */
  inOneAnswer?: boolean | undefined;
  /** Whether what broke off may go on: false where two answers might be of two states of the file. */
  goesOn?: boolean | undefined;
}

/**
 * The bytes of a range, in order, fetched by several requests at once: one part is handed on as it comes, and
 * those behind it are fetched into memory as far as there are slots. What breaks off goes on where it was.
 */
export function readAhead(options: ReadAheadOptions): ReadableStream<Uint8Array> {
  const { open, range, slots: free, name, isTooMany } = options;
  const stopped = new AbortController();
  const signal = AbortSignal.any([options.signal, stopped.signal]);
  let at = range.start;
  /** Up to where parts were asked for. */
  let asked = range.start;
  let head:
    | { reader: ReadableStreamDefaultReader<Uint8Array>; at: number; end: number }
    | undefined;
  let part: { memory: Uint8Array; at: number; end: number } | undefined;
  const ahead: { range: ByteRange; memory: Uint8Array; isWhole: Promise<boolean> }[] = [];
  let empty = 0;
  let hasRanges = options.inOneAnswer !== true;

  const end = (): void => {
    stopped.abort();
    if (part !== undefined) free.give(part.memory);
    part = undefined;
    for (const { memory, isWhole } of ahead.splice(0)) {
      void isWhole.finally(() => {
        free.give(memory);
      });
    }
    void head?.reader.cancel().catch(() => undefined);
  };

  /** Fetches a part; false where it could not be had: it is asked for again in its turn. */
  const fetchPart = async (
    { start, end: until }: ByteRange,
    into: Uint8Array,
  ): Promise<boolean> => {
    try {
      const { range: got, body } = await open({ start, end: until }, signal);
      if (got.start !== start || got.end !== until) {
        hasRanges = false;
        await body.cancel().catch(() => undefined);
        return false;
      }
      let size = 0;
      for await (const chunk of body) {
        if (size + chunk.byteLength > until - start) return false;
        into.set(chunk, size);
        size += chunk.byteLength;
        releaseBytes(chunk);
      }
      return size === until - start;
    } catch (error) {
      if (isTooMany(error)) free.stop();
      return false;
    }
  };

  const topUp = (): void => {
    if (!hasRanges) return;
    while (ahead.length < partsAhead && asked < range.end) {
      const memory = free.take();
      if (memory === undefined) return;
      const next = { start: asked, end: Math.min(asked + partBytes, range.end) };
      asked = next.end;
      ahead.push({ range: next, memory, isWhole: fetchPart(next, memory) });
    }
  };

  /** Opens what is next, from memory or from the server. */
  const advance = async (): Promise<void> => {
    // An answer that broke off is gone on with before what is behind it.
    const next = ahead[0]?.range.start === at ? ahead.shift() : undefined;
    if (next !== undefined) {
      const { memory } = next;
      if ((await next.isWhole) && !signal.aborted) {
        part = { memory, at: 0, end: next.range.end - next.range.start };
        return topUp();
      }
      free.give(memory);
      signal.throwIfAborted();
    }
    const until = hasRanges
      ? Math.min(at + partBytes, ahead[0]?.range.start ?? range.end, range.end)
      : range.end;
    asked = Math.max(asked, until);
    const answer = await open({ start: at, end: until }, signal);
    if (answer.range.end > until) hasRanges = false;
    head = {
      reader: answer.body.getReader(),
      at: answer.range.start,
      end: Math.min(answer.range.end, hasRanges ? until : range.end),
    };
    topUp();
  };

  /** A piece of the part that is in memory, copied: the memory is used again. */
  const fromPart = (): Uint8Array | undefined => {
    if (part === undefined) return undefined;
    const piece = part.memory.slice(part.at, Math.min(part.at + pieceBytes, part.end));
    part.at += piece.byteLength;
    if (part.at === part.end) {
      free.give(part.memory);
      part = undefined;
    }
    return piece;
  };

  /** The next bytes of the open answer, or undefined at its end. */
  const fromHead = async (): Promise<Uint8Array | undefined> => {
    while (head !== undefined) {
      if (head.at >= head.end) {
        const { reader } = head;
        head = undefined;
        await reader.cancel().catch(() => undefined);
        return undefined;
      }
      const { done, value } = await head.reader.read();
      if (done)
        throw failureError(name, "reset", { what: `the response ended at byte ${head.at}` });
      const from = Math.max(0, at - head.at);
      const bytes = value.subarray(from, Math.max(from, head.end - head.at));
      head.at += value.byteLength;
      if (bytes.byteLength > 0) return bytes;
    }
    return undefined;
  };

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          for (;;) {
            if (at >= range.end) {
              end();
              return controller.close();
            }
            try {
              const chunk = fromPart() ?? (await fromHead());
              if (chunk === undefined) {
                await advance();
                continue;
              }
              at += chunk.byteLength;
              free.handedOn(chunk.byteLength);
              empty = 0;
              return controller.enqueue(chunk);
            } catch (error) {
              const mayGoOn = options.goesOn !== false || at === range.start;
              const passing = mayGoOn && head !== undefined && httpFailureOf(error) !== undefined;
              head = undefined;
              if (!passing || signal.aborted || ++empty === maxEmptyAnswers) throw error;
            }
          }
        } catch (error) {
          end();
          throw error;
        }
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}
