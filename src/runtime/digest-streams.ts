import { createHash, type Hash } from "node:crypto";
import type { DigestStep, WorkerMessage } from "./worker-protocol.ts";

/** Streams that this worker is hashing. They take turns, so one that is slow holds up no other. */
const streams = new Map<number, Hash>();

/** Does one step of hashing bytes that come in pieces. Runs in the worker. */
export function digestStep(step: DigestStep): WorkerMessage {
  const { stream } = step;
  if (step.step === "update") {
    let hash = streams.get(stream);
    if (hash === undefined) {
      hash = createHash(step.algorithm);
      streams.set(stream, hash);
    }
    hash.update(step.bytes);
    return { type: "digested", hex: undefined };
  }
  const hex = step.step === "end" ? streams.get(stream)?.digest("hex") : undefined;
  streams.delete(stream);
  return { type: "digested", hex };
}
