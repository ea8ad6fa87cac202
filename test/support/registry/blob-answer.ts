import type { ServerResponse } from "node:http";
import type { ByteRange } from "../../../src/oci/content.ts";

/** What a GET of a blob asks for. */
export interface AskedRange {
  /** As asked for; the whole blob without a Range. */
  range: ByteRange;
  ranged: boolean;
}

/** How a GET of a blob is answered where that is not as it should be. */
export interface Behaviour {
  /** In place of 206 or 200, without a body. */
  status?: number;
  headers?: Record<string, string>;
  /** 200 and the whole blob, whatever was asked. */
  ignoreRange?: boolean;
  contentRange?: string;
  /** The connection is closed after so many bytes of the body. */
  cutAfter?: number;
  /** Nothing more comes after so many bytes of the body. */
  stallAfter?: number;
  /** Nothing more comes after so many bytes of the body before it resolves. */
  hold?: { after: number; until: Promise<void> };
  /** Bytes sent after those that should be the last, with no Content-Length. */
  extra?: number;
  /** The answer just ends so many bytes before it should, with no Content-Length. */
  short?: number;
  /** Taken, expected the blob. */
  blob?: Uint8Array;
  /** Milliseconds between 64 KiB. */
  pause?: number;
  /** Milliseconds before the head. */
  delay?: number;
}

const step = 64 * 1024;

/** Counts what is sent, and tells those who wait for it. */
export class Tally {
  bytes = 0;
  /** From so many bytes on nothing more is sent, on no connection; they stay open. */
  most = Infinity;
  #waiting: { bytes: number; resolve: () => void }[] = [];

  add(bytes: number): void {
    this.bytes += bytes;
    const there = this.#waiting.filter((one) => one.bytes <= this.bytes);
    this.#waiting = this.#waiting.filter((one) => one.bytes > this.bytes);
    for (const { resolve } of there) resolve();
  }

  /** Resolves when so many bytes have been sent in all. */
  reach(bytes: number): Promise<void> {
    if (bytes <= this.bytes) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ bytes, resolve }));
  }
}

/** What a Range header asks for of a blob of `size` bytes. */
export function askedRange(header: string | undefined, size: number): AskedRange {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(header ?? "") ?? [];
  if (first === undefined || last === undefined) {
    return { range: { start: 0, end: size }, ranged: false };
  }
  return { range: { start: Number(first), end: Number(last) + 1 }, ranged: true };
}

/** Answers a GET of a blob as `behaviour` says. Resolves when the answer has ended, or will never. */
export async function answerBlob(
  response: ServerResponse,
  { range, ranged }: AskedRange,
  blob: Uint8Array,
  behaviour: Behaviour,
  tally: Tally,
): Promise<void> {
  const { status, headers, extra = 0, short = 0, pause, delay, hold } = behaviour;
  if (delay !== undefined) await Bun.sleep(delay);
  if (status !== undefined) {
    response.writeHead(status, headers).end();
    return;
  }
  const partial = ranged && behaviour.ignoreRange !== true;
  const { start, end } = partial ? range : { start: 0, end: blob.length };
  const right = (behaviour.blob ?? blob).subarray(start, end - short);
  const length = right.length + extra;
  response.writeHead(partial ? 206 : 200, {
    ...(length === end - start ? { "content-length": length } : {}),
    ...(partial
      ? { "content-range": behaviour.contentRange ?? `bytes ${start}-${end - 1}/${blob.length}` }
      : {}),
    ...headers,
  });
  const closed = eventOf(response, "close");
  const stop = Math.min(behaviour.cutAfter ?? Infinity, behaviour.stallAfter ?? Infinity, length);
  for (let at = 0; at < stop; at += step) {
    if (response.destroyed) return;
    if (tally.bytes >= tally.most) return closed;
    if (hold !== undefined && at >= hold.after) await hold.until;
    const until = Math.min(at + step, stop);
    const chunk =
      until <= right.length
        ? right.subarray(at, until)
        : Buffer.concat([right.subarray(at), Buffer.alloc(until - Math.max(at, right.length))]);
    // Listened for before the pause, in which it may come.
    const drained = response.write(chunk) ? undefined : eventOf(response, "drain");
    tally.add(until - at);
    if (pause !== undefined) await Bun.sleep(pause);
    if (drained !== undefined) await Promise.race([drained, closed]);
  }
  if (stop === length) response.end();
  else if (behaviour.cutAfter === stop) response.destroy();
}

const eventOf = (response: ServerResponse, name: "drain" | "close"): Promise<void> =>
  new Promise((resolve) => void response.once(name, resolve));
