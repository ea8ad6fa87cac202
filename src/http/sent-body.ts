import { setTimeout, clearTimeout } from "node:timers";
import { passing } from "../flow/passing.ts";
import { failureError } from "./message/failure.ts";

/** What the limits of one request are computed from. */
export interface SendingOptions {
  /** For messages. */
  host: string;
  /** Of the body, in bytes; 0 where there is none. */
  size: number;
  /** How fast the last large body went out, in bytes a millisecond; 0 before the first. */
  rate: number;
  /** How long connecting and waiting for the first byte of the answer may take together, in milliseconds. */
  firstByteTimeout: number;
  /** How long a body may stop for, in milliseconds. */
  idleTimeout: number;
}

/** A request on its way out. */
export interface Sending {
  /** The same body; a stream is watched while it is sent. */
  body<Body>(body: Body): Body | ReadableStream<Uint8Array>;
  /** Aborted with a `network` failure when no byte moved for too long. */
  signal: AbortSignal;
  /** Ends the watch: the answer has come, or the request failed. */
  stop(): void;
}

/**
 * A body that can't be watched fails when it is sent more slowly than this, in bytes a millisecond. Once
 * a body went through, so does one that is this many times slower than the last.
 */
const slowestUpload = 16;
const muchSlower = 64;

/** How much of a body may still be in the system's buffers after its last chunk was taken, in bytes. */
const mostHeld = 4 * 1024 * 1024;

/** The longest time a timer of JavaScript can be set to, in milliseconds. */
const maxTimer = 2 ** 31 - 1;

/**
 * Limits the time that a request takes until its answer begins. A body that is a stream is watched chunk
 * by chunk, as the network takes it: it may be slow as long as each chunk is taken in time. Any other
 * body goes out unseen, so that the limit is for all of it.
 */
export function watchSending(options: SendingOptions): Sending {
  const { host, size, rate, firstByteTimeout, idleTimeout } = options;
  const given = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;

  const stop = (): void => {
    stopped = true;
    clearTimeout(timer);
  };
  const within = (milliseconds: number, kind: "timeout" | "stalled", what: string): void => {
    clearTimeout(timer);
    if (stopped) return;
    const seconds = `${Math.round(milliseconds / 1000)} s`;
    const end = (): void => given.abort(failureError(host, kind, { what: `${what} ${seconds}` }));
    timer = setTimeout(end, Math.min(milliseconds, maxTimer));
  };
  const expectAnswer = (bytes: number): void => {
    const slowest = Math.max(slowestUpload, rate / muchSlower);
    within(firstByteTimeout + bytes / slowest, "timeout", "no response within");
  };

  const watched = (stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> =>
    passing(stream, {
      // A source that is slow to give the next chunk is no fault of the network.
      onRead: () => clearTimeout(timer),
      onChunk: () => within(idleTimeout, "stalled", "the upload stalled: no data was accepted for"),
      onEnd: () => expectAnswer(Math.min(size, mostHeld)),
    });

  expectAnswer(size);
  return {
    body(body) {
      if (!(body instanceof ReadableStream)) return body;
      expectAnswer(0);
      return watched(body);
    },
    signal: given.signal,
    stop,
  };
}
