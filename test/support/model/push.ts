import { pushModel, type PushRequest } from "../../../src/model/jobs/push.ts";
import type { JobContext } from "../../../src/model/session/session.ts";

/** A push of nothing: tests add what they are about. Frozen, since tests in one process share it. */
export const pushOfNothing = Object.freeze({
  image: undefined,
  platform: undefined,
  weights: Object.freeze([]),
  file: Object.freeze([]),
  lock: undefined,
  weightsFrom: undefined,
  format: undefined,
  dryRun: false,
  tagWeights: undefined,
} satisfies Omit<PushRequest, "reference">);

/** Pushes `weights/` in parts. */
export const pushParts = (job: JobContext, reference: string, more: Partial<PushRequest> = {}) =>
  pushModel(job, {
    ...pushOfNothing,
    reference,
    weights: ["weights"],
    layout: "parts",
    ...more,
  });

/** Bytes that differ from chunk to chunk, the same for a seed each time. `size` in bytes. */
export const pattern = (size: number, seed: number): Buffer =>
  Buffer.from(
    Uint8Array.from({ length: size }, (_, index) => (index * 31 + (index >> 9) + seed) & 255),
  );
