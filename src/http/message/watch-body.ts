import { setTimeout, clearTimeout } from "node:timers";
import { OcibundleError } from "../../errors.ts";
import { type ByteSource, passing } from "../../flow/passing.ts";
import { connectionError, failureError } from "./failure.ts";

/** A body slower than this while it is waited for has stopped but for a trickle, in bytes a millisecond. */
const slowestBody = 0.128;

/**
 * The same bytes, watched. Fails with `network` when no byte comes for `idleTimeout` milliseconds while
 * one is waited for, or next to none for twice as long; when the connection breaks; and with `expected`,
 * when the body has another number of bytes.
 */
export function watchBody(
  source: ByteSource,
  options: {
    /** Where the body comes from or what it is, for messages. */
    subject: string | readonly string[];
    idleTimeout: number;
    expected?: number | undefined;
    signal: AbortSignal;
  },
): ReadableStream<Uint8Array> {
  const { subject, expected } = options;
  const watch = watchReads(options);
  let seen = 0;
  const watched: ByteSource = {
    read: () => watch.read(source),
    cancel(reason) {
      watch.end();
      return source.cancel(reason);
    },
  };
  return passing(watched, {
    onChunk(chunk) {
      seen += chunk.byteLength;
      if (expected !== undefined && seen > expected) throw wrongLength(subject, seen, expected);
    },
    onEnd() {
      if (expected !== undefined && seen !== expected) throw wrongLength(subject, seen, expected);
      watch.end();
    },
  });
}

/**
 * Reads that fail when the signal is aborted or nothing comes for too long. One timer and one listener
 * serve the whole body: setting them for each of thousands of chunks takes a tenth of a pull's time.
 */
function watchReads({
  subject,
  idleTimeout,
  signal,
}: {
  subject: string | readonly string[];
  idleTimeout: number;
  signal: AbortSignal;
}) {
  /** Of the read that waits: a slow consumer is no fault of the server. */
  let waiting: { since: number; reject: (error: unknown) => void } | undefined;
  /** What came, and how long it was waited for, since the window began. */
  let bytes = 0;
  let waited = 0;
  const aborted = (): void => waiting?.reject(signal.reason);
  signal.addEventListener("abort", aborted, { once: true });
  const look = (): void => {
    const now = performance.now();
    const silent = waiting === undefined ? 0 : now - waiting.since;
    const total = waited + silent;
    const stalled = (what: string): void =>
      waiting?.reject(failureError(subject, "stalled", { what: `the response stalled: ${what}` }));
    if (silent >= idleTimeout) return stalled(`no data for ${idleTimeout / 1000} s`);
    if (waiting !== undefined && total >= 2 * idleTimeout) {
      if (bytes < total * slowestBody) {
        return stalled(`${bytes} bytes in ${Math.round(total / 1000)} s`);
      }
      bytes = 0;
      waited = -silent;
    }
    timer = later(look, Math.max(1, idleTimeout - silent));
  };
  let timer = later(look, idleTimeout);

  return {
    async read(source: ByteSource): ReturnType<ByteSource["read"]> {
      signal.throwIfAborted();
      const since = performance.now();
      try {
        const next = await new Promise<Awaited<ReturnType<ByteSource["read"]>>>(
          (resolve, reject) => {
            waiting = { since, reject };
            source.read().then(resolve, reject);
          },
        );
        bytes += next.value?.byteLength ?? 0;
        waited += performance.now() - since;
        return next;
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        throw error instanceof OcibundleError ? error : connectionError(subject, error);
      } finally {
        waiting = undefined;
      }
    },
    end(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", aborted);
    },
  };
}

/** A timer that keeps no process open: the connection that is waited for does. */
const later = (then: () => void, milliseconds: number): ReturnType<typeof setTimeout> =>
  setTimeout(then, milliseconds).unref();

function wrongLength(
  subject: string | readonly string[],
  seen: number,
  expected: number,
): OcibundleError {
  return failureError(subject, seen < expected ? "reset" : "protocol", {
    what:
      seen < expected
        ? `the response ended after ${seen} of ${expected} bytes`
        : `the response has more than ${expected} bytes`,
  });
}
