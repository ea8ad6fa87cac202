import type { BodyReader, TakeChunk } from "../storage/body-reader.ts";

/** What is used of node's `IncomingMessage`. */
export interface BodyMessage {
  on(event: "data", listener: (chunk: Uint8Array) => void): unknown;
  once(event: "end" | "error" | "close", listener: () => void): unknown;
  pause(): unknown;
  resume(): unknown;
}

/** The body of a request, which is read at most once. */
export interface RequestBody {
  read: BodyReader;
  /** Takes and drops what is left. */
  discard(): void;
}

/**
 * The body of a message. Of one that is not read yet, the runtime takes in no more than a piece. Breaks off where the
 * connection does: after all that has come by then was taken.
 *
 * A paused message still gives a piece now and then, and may say that it has ended: what was about to be given when it
 * was paused. So each piece waits until the one before is taken, and the end for the last one.
 */
export function requestBody(message: BodyMessage): RequestBody {
  const waiting: Uint8Array[] = [];
  let take: TakeChunk | undefined;
  let isTaking = false;
  let isOver = false;
  /** What its end means, once it is there. */
  let ended: (() => void) | undefined;
  const { promise: done, resolve, reject } = Promise.withResolvers<void>();
  // Where nobody reads it, nobody is told.
  done.catch(() => undefined);
  const finish = (how: () => void): void => {
    if (!isOver) how();
    isOver = true;
  };
  const end = (how: () => void): void => {
    ended ??= how;
    if (!isTaking && waiting.length === 0) finish(ended);
  };
  const broke = (): void => end(() => reject(new Error("the connection ended")));
  message.once("end", () => end(resolve));
  message.once("error", broke);
  message.once("close", broke);
  const fail = (error: unknown): void => finish(() => reject(error));
  /** Whether a piece was taken at once. */
  const offer = (chunk: Uint8Array): boolean => {
    let taken: Promise<void> | undefined;
    try {
      taken = take?.(chunk);
    } catch (error) {
      fail(error);
      return false;
    }
    if (taken === undefined) return true;
    isTaking = true;
    message.pause();
    taken.then(goOn, fail);
    return false;
  };
  const goOn = (): void => {
    isTaking = false;
    for (let chunk = waiting.shift(); chunk !== undefined; chunk = waiting.shift()) {
      if (isOver || !offer(chunk)) return;
    }
    if (ended === undefined) message.resume();
    else finish(ended);
  };
  return {
    read(by) {
      take = by;
      message.on("data", (chunk) => {
        if (isOver) return;
        if (isTaking) waiting.push(chunk);
        else offer(chunk);
      });
      return done;
    },
    discard() {
      isOver = true;
      waiting.length = 0;
      message.resume();
    },
  };
}
