import { failureError, httpFailureOf } from "../http/message/failure.ts";
import type { ByteRange } from "../oci/content.ts";

/** Bytes that are asked for in one request while several are under way for one file. */
const partBytes = 4 * 1024 * 1024;

/** Further parts that are fetched while one is handed on. */
const partsAhead = 4;

/** Parts that all files of a run may hold in memory together: 40 MB. */
const partsOfRun = 10;

/** Answers in a row that break off without a byte before the file is given up. */
const maxEmptyAnswers = 4;

/** The parts that may still be fetched ahead of their turn. */
export interface Slots {
  /** Takes one, if one is left. */
  take(): boolean;
  give(): void;
  /** Lets nothing be fetched ahead any more: the server wants fewer connections. */
  stop(): void;
}

export function slots(count: number = partsOfRun): Slots {
  let left = count;
  return {
    take() {
      if (left <= 0) return false;
      left -= 1;
      return true;
    },
    give: () => void (left += 1),
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
  let buffered: Uint8Array[] = [];
  const ahead: { range: ByteRange; chunks: Promise<Uint8Array[] | undefined> }[] = [];
  let empty = 0;
  let hasRanges = true;

  const end = (): void => {
    stopped.abort();
    buffered = [];
    for (const { chunks } of ahead.splice(0)) void chunks.finally(() => free.give());
    void head?.reader.cancel().catch(() => undefined);
  };

  /** A part as a whole, or undefined where it could not be had: it is asked for again in its turn. */
  const fetchPart = async (part: ByteRange): Promise<Uint8Array[] | undefined> => {
    try {
      const { range: got, body } = await open(part, signal);
      if (got.start !== part.start || got.end !== part.end) {
        hasRanges = false;
        await body.cancel().catch(() => undefined);
        return undefined;
      }
      const chunks: Uint8Array[] = [];
      let size = 0;
      for await (const chunk of body) {
        size += chunk.byteLength;
        if (size > part.end - part.start) return undefined;
        chunks.push(chunk);
      }
      return size === part.end - part.start ? chunks : undefined;
    } catch (error) {
      if (isTooMany(error)) free.stop();
      return undefined;
    }
  };

  const topUp = (): void => {
    if (!hasRanges) return;
    while (ahead.length < partsAhead && asked < range.end && free.take()) {
      const part = { start: asked, end: Math.min(asked + partBytes, range.end) };
      asked = part.end;
      ahead.push({ range: part, chunks: fetchPart(part) });
    }
  };

  /** Opens what is next, from memory or from the server. */
  const advance = async (): Promise<void> => {
    // An answer that broke off is gone on with before what is behind it.
    const next = ahead[0]?.range.start === at ? ahead.shift() : undefined;
    if (next !== undefined) {
      const chunks = await next.chunks;
      free.give();
      if (chunks !== undefined) {
        buffered = chunks;
        return topUp();
      }
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

  /** The next bytes of the open part, or undefined at its end. */
  const fromHead = async (): Promise<Uint8Array | undefined> => {
    while (head !== undefined) {
      if (head.at >= head.end) {
        const { reader } = head;
        head = undefined;
        await reader.cancel().catch(() => undefined);
        return undefined;
      }
      const { done, value } = await head.reader.read();
      if (done) throw failureError(name, "reset", { what: `the answer ended at byte ${head.at}` });
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
              const chunk = buffered.shift() ?? (await fromHead());
              if (chunk === undefined) {
                await advance();
                continue;
              }
              at += chunk.byteLength;
              empty = 0;
              return controller.enqueue(chunk);
            } catch (error) {
              const passing = head !== undefined && httpFailureOf(error) !== undefined;
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
