import { setTimeout, clearTimeout } from "node:timers";
import { failureError } from "./message/failure.ts";

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
  /** The same body; that of a stream is watched as it goes. */
  body<Body>(body: Body): Body | ReadableStream<Uint8Array>;
  /** Aborted with a `network` failure when no byte moved for too long. */
  signal: AbortSignal;
  /** The answer has come, or nothing will. */
  stop(): void;
}

/**
 * What can't be watched is given up when it goes out more slowly than this, in bytes a millisecond. Once
 * bodies went through, one that is this many times slower than the last is too.
 */
const slowestUpload = 16;
const muchSlower = 64;

/** What of a body may be on its way, in the system's buffers, after the last of it was taken; in bytes. */
const mostHeld = 4 * 1024 * 1024;

/** The longest time a timer of JavaScript can be set to, in milliseconds. */
const maxTimer = 2 ** 31 - 1;

/**
 * Watches over the time that a request takes until its answer begins. A body that is a stream is taken
 * piece by piece, as the network has room for it: however slow it is, it goes on as long as a piece is
 * taken in time, and a source that is slow to give the next one is no fault of the network. Of any other
 * body fetch tells nothing, so that it has a time for the whole of it.
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
    within(firstByteTimeout + bytes / slowest, "timeout", "no answer within");
  };

  const watched = (stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> => {
    const reader = stream.getReader();
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          clearTimeout(timer);
          const { done, value } = await reader.read();
          if (done) {
            expectAnswer(Math.min(size, mostHeld));
            controller.close();
          } else {
            within(idleTimeout, "stalled", "the upload stalled: no byte was taken for");
            controller.enqueue(value);
          }
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    );
  };

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
