import { setTimeout as sleep } from "node:timers/promises";
import { BrokenConnection } from "../broken-connection.ts";
import type { FaultKind } from "./fault.ts";

/** Faults that happen to a body on its way. */
export type BodyFault = Extract<
  FaultKind,
  { kind: "reset" | "stall" | "truncate" | "corrupt" | "slow" }
>;

/**
 * A body to which the fault happens: at byte `at`, counted from 0, or where that is not said in the
 * middle of its `size` bytes.
 */
export async function* faultyBody(
  body: AsyncIterable<Uint8Array>,
  fault: BodyFault,
  size: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (fault.kind === "slow") return yield* slowed(body, fault.rate, signal);
  const at = fault.at ?? Math.floor(size / 2);
  let position = 0;
  for await (const chunk of body) {
    const end = position + chunk.byteLength;
    if (end <= at) {
      yield chunk;
      position = end;
      continue;
    }
    if (fault.kind === "corrupt") {
      yield position <= at ? flipped(chunk, at - position) : chunk;
      position = end;
      continue;
    }
    if (at > position) yield chunk.subarray(0, at - position);
    if (fault.kind === "truncate") return;
    if (fault.kind === "stall") await untilAborted(signal);
    throw new BrokenConnection();
  }
  // The body was over before that byte came.
  if (fault.kind === "reset") throw new BrokenConnection();
  if (fault.kind === "stall") {
    await untilAborted(signal);
    throw new BrokenConnection();
  }
}

/** Resolves when the one who asks has gone. */
export const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });

function flipped(chunk: Uint8Array, at: number): Uint8Array {
  const copy = chunk.slice();
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

/** How often a slow body gets its share, in milliseconds. */
const tick = 50;

async function* slowed(
  body: AsyncIterable<Uint8Array>,
  rate: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const share = Math.max(1, Math.floor((rate * tick) / 1000));
  let due = performance.now();
  for await (const chunk of body) {
    for (let at = 0; at < chunk.byteLength; at += share) {
      const piece = chunk.subarray(at, at + share);
      // Of a body that was waited for no more than one share is made up for.
      due = Math.max(due, performance.now() - tick) + (piece.byteLength * 1000) / rate;
      const pause = due - performance.now();
      if (pause >= 1) await sleep(pause, undefined, { signal });
      yield piece;
    }
  }
}
