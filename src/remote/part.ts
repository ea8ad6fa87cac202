import { failureError } from "../http/message/failure.ts";
import type { ByteRange } from "../oci/content.ts";
import { releaseBytes } from "../runtime/release-bytes.ts";
import type { Slots } from "./slots.ts";

/** What came for a range: the range itself, or more of the file where the server has no ranges. */
export interface PartAnswer {
  range: ByteRange;
  body: ReadableStream<Uint8Array>;
}

/** Asks for one range of a file. Rejects with `integrity` where the file is in another state by now. */
export type OpenPart = (range: ByteRange, signal: AbortSignal) => Promise<PartAnswer>;

/** What is held of a part whose turn it is, in bytes, before its connection has to wait. */
const heldBytes = 1024 * 1024;

/** One range of a file, and who fetches it. */
export interface PartOptions {
  open: OpenPart;
  range: ByteRange;
  /** Shared by all parts of a run: limits how many are fetched ahead. */
  slots: Slots;
  signal: AbortSignal;
  /** For messages. */
  name: string;
  /** Whether it is fetched before its turn, into memory as a whole. It has a slot then. */
  isAhead: boolean;
  /** Called at once when the request fails. */
  onFailure(error: unknown): void;
}

/** A request for a range of a file, which runs by itself: its bytes wait in memory until they are taken. */
export interface Part {
  readonly isAhead: boolean;
  /** Where its next byte lies in the file. */
  readonly at: number;
  /** Whether an answer has begun. */
  readonly isOpen: boolean;
  /** Whether the answer is not the range that was asked for, since the server has none. */
  readonly isWhole: boolean;
  /**
   * Its next bytes, at most so many, or undefined at its end. They are valid until the next are taken. Rejects with
   * what ended the request.
   */
  take(most: number): Promise<Uint8Array | undefined>;
  /** Gives up what was not taken. */
  drop(): void;
}

/** Begins to fetch a part. */
export function fetchPart({
  open,
  range,
  slots,
  signal,
  name,
  isAhead,
  onFailure,
}: PartOptions): Part {
  const chunks: Uint8Array[] = [];
  /** Of what is in `chunks`. */
  let held = 0;
  /** How much of the first of them was taken. */
  let taken = 0;
  let at = range.start;
  let isOpen = false;
  let isWhole = false;
  let isDropped = false;
  let ended: { error?: unknown } | undefined;
  let changed = Promise.withResolvers<void>();
  const change = (): void => {
    changed.resolve();
    changed = Promise.withResolvers();
  };

  const mustWait = (): boolean => held >= heldBytes && !isAhead && !isDropped;
  const fetchAll = async (): Promise<void> => {
    const { range: got, body } = await open(range, signal);
    isOpen = true;
    isWhole = got.start !== range.start || got.end !== range.end;
    const reader = body.getReader();
    const end = isWhole ? got.end : range.end;
    try {
      // What comes instead of a part may be of any length.
      if (isWhole && isAhead) return;
      for (let position = got.start; position < end;) {
        while (mustWait()) await changed.promise;
        if (isDropped) return;
        const { done, value } = await reader.read();
        if (done) {
          throw failureError(name, "reset", { what: `the response ended at byte ${position}` });
        }
        const skipped = Math.min(Math.max(0, range.start - position), value.byteLength);
        const bytes =
          skipped === 0 && position + value.byteLength <= end
            ? value
            : value.subarray(skipped, end - position);
        position += value.byteLength;
        if (bytes.byteLength === 0) continue;
        chunks.push(bytes);
        held += bytes.byteLength;
        change();
      }
    } finally {
      void reader.cancel().catch(() => undefined);
    }
  };
  const letGo = (bytes: Uint8Array): void => {
    if (!releaseBytes(bytes)) slots.left(bytes.byteLength);
  };
  const run = async (): Promise<void> => {
    try {
      await fetchAll();
      ended = {};
    } catch (error) {
      onFailure(error);
      ended = { error };
    }
    change();
  };
  void run();

  return {
    isAhead,
    get at() {
      return at;
    },
    get isOpen() {
      return isOpen;
    },
    get isWhole() {
      return isWhole;
    },
    async take(most) {
      for (;;) {
        const [first] = chunks;
        if (first !== undefined && taken === first.byteLength) {
          chunks.shift();
          held -= taken;
          taken = 0;
          letGo(first);
          change();
          continue;
        }
        if (first !== undefined) {
          const bytes =
            taken === 0 && first.byteLength <= most ? first : first.subarray(taken, taken + most);
          taken += bytes.byteLength;
          at += bytes.byteLength;
          return bytes;
        }
        if (ended?.error !== undefined) throw ended.error;
        if (ended !== undefined) return undefined;
        await changed.promise;
      }
    },
    drop() {
      isDropped = true;
      // The one that was handed on last may still be in use.
      for (const bytes of chunks.splice(taken === 0 ? 0 : 1)) letGo(bytes);
      change();
    },
  };
}
