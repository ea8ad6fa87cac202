import { httpFailureOf } from "../http/message/failure.ts";
import type { ByteRange, ReadRange } from "../oci/content.ts";
import { fetchPart, type OpenPart, type Part } from "./part.ts";
import type { Slots } from "./slots.ts";

/** Bytes that are asked for in one request while several are under way for one file. */
const partBytes = 4 * 1024 * 1024;

/** Further parts of one file that are fetched while one is handed on. */
const partsAhead = 7;

/** Answers in a row that break off without a byte before the file is given up. */
const maxEmptyAnswers = 4;

/** What hosts of files answer to whoever has too many connections. */
export const tooManyConnections: ReadonlySet<number> = new Set([403, 429, 503]);

/** How ranges of one file are asked for. */
export interface ReadAheadOptions {
  open: OpenPart;
  /** Shared by all files of a run: limits how many parts are fetched ahead. */
  slots: Slots;
  /** For messages. */
  name: string;
  /** Whether a failure means that the server wants fewer connections. */
  isTooMany(error: unknown): boolean;
  /** Whether a range is asked for in one request; in parts unless true. */
  inOneAnswer?: boolean | undefined;
  /** Whether what broke off may go on: false where two answers might be of two states of the file. */
  goesOn?: boolean | undefined;
}

/** The bytes of a file from one position on, in order. */
interface Run {
  /** Where the next byte lies. */
  readonly at: number;
  readonly signal: AbortSignal;
  /** The next bytes, at most so many. */
  next(most: number): Promise<Uint8Array>;
  end(): void;
}

/**
 * Reads ranges of a file by several requests at once: one part is handed on as it comes, and those behind it are
 * fetched into memory as far as there are slots. What breaks off goes on where it was.
 */
export function readAhead(options: ReadAheadOptions): ReadRange {
  /** Runs whose ranges were handed on, and that go on with the next, by where they end. */
  const waiting = new Map<number, Run>();

  const runFor = ({ start, end }: ByteRange, signal: AbortSignal, until: number): Run => {
    const last = Math.max(end, until);
    const run = waiting.get(last);
    waiting.delete(last);
    if (run?.at === start && run.signal === signal && !signal.aborted) return run;
    run?.end();
    return startRun(options, { start, end: last }, signal);
  };

  return (range, signal, until = range.end) => {
    let run: Run | undefined;
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          run ??= runFor(range, signal, until);
          if (run.at < range.end) {
            controller.enqueue(await run.next(range.end - run.at));
            return;
          }
          if (range.end < until) waiting.set(until, run);
          else run.end();
          controller.close();
        },
        cancel: () => run?.end(),
      },
      { highWaterMark: 0 },
    );
  };
}

function startRun(
  { open, slots, name, isTooMany, inOneAnswer, goesOn }: ReadAheadOptions,
  range: ByteRange,
  signal: AbortSignal,
): Run {
  const stopped = new AbortController();
  const either = AbortSignal.any([signal, stopped.signal]);
  const onFailure = (error: unknown): void => {
    if (isTooMany(error)) slots.stop();
  };
  const shared = { open, slots, signal: either, name, onFailure };
  let at = range.start;
  /** Up to where parts were asked for. */
  let asked = range.start;
  let current: Part | undefined;
  /** Those behind it, in order. */
  let ahead: { range: ByteRange; part: Part }[] = [];
  let empty = 0;
  let hasRanges = inOneAnswer !== true;

  const letGo = (part: Part | undefined): void => {
    part?.drop();
    if (part?.isAhead === true) slots.give();
  };
  const end = (): void => {
    signal.removeEventListener("abort", end);
    stopped.abort();
    letGo(current);
    current = undefined;
    for (const { part } of ahead.splice(0)) letGo(part);
  };
  signal.addEventListener("abort", end, { once: true });

  const withoutRanges = (): void => {
    hasRanges = false;
    for (const { part } of ahead.splice(0)) letGo(part);
  };

  const topUp = (): void => {
    if (!hasRanges || stopped.signal.aborted) return;
    while (ahead.length < partsAhead && asked < range.end && slots.take()) {
      const next = { start: asked, end: Math.min(asked + partBytes, range.end) };
      asked = next.end;
      ahead.push({ range: next, part: fetchPart({ ...shared, range: next, isAhead: true }) });
    }
  };

  /** Goes on with the part that is next: one that is under way, or one that is asked for now. */
  const advance = (): Part => {
    // An answer that broke off is gone on with before what is behind it.
    if (ahead[0]?.range.start === at) current = ahead.shift()?.part;
    else {
      const until = hasRanges
        ? Math.min(at + partBytes, ahead[0]?.range.start ?? range.end, range.end)
        : range.end;
      asked = Math.max(asked, until);
      const next = { start: at, end: until };
      current = fetchPart({ ...shared, range: next, isAhead: false });
    }
    return current as Part;
  };

  const next = async (most: number): Promise<Uint8Array> => {
    for (;;) {
      signal.throwIfAborted();
      const part = current ?? advance();
      try {
        const bytes = await part.take(most);
        if (part.isWhole) withoutRanges();
        if (bytes !== undefined) {
          at += bytes.byteLength;
          empty = 0;
          // Not before an answer: where the bytes are is found out once, and the others ask there.
          topUp();
          return bytes;
        }
      } catch (error) {
        const mayGoOn = goesOn !== false || at === range.start;
        const passing = mayGoOn && part.isOpen && httpFailureOf(error) !== undefined;
        // What was fetched before its turn is asked for once more in any case.
        if (signal.aborted || !(part.isAhead || (passing && ++empty < maxEmptyAnswers))) {
          end();
          throw error;
        }
      }
      letGo(current);
      current = undefined;
    }
  };

  return {
    get at() {
      return at;
    },
    signal,
    next,
    end,
  };
}
