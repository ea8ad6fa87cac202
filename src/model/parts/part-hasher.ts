import { createHash } from "node:crypto";
import type { PartPlan } from "./tree.ts";

/** Digests of a file's parts, from the file's bytes in their order. */
export interface PartHasher {
  update(chunk: Uint8Array): void;
  /** In the order of the plan, once every byte has come. */
  digests(): `sha256:${string}`[];
}

/** Keeps a state of a hash for each part, and no bytes. */
export function partHasher(plan: readonly PartPlan[]): PartHasher {
  const hashes = plan.map(() => createHash("sha256"));
  const pieces = plan
    .flatMap((extents, part) => extents.map((extent) => ({ ...extent, part })))
    .toSorted((a, b) => a.start - b.start);
  let at = 0;
  let piece = 0;
  return {
    update(chunk) {
      for (let done = 0; done < chunk.byteLength;) {
        const next = pieces[piece];
        // More bytes than the file had: its size and its digest tell.
        if (next === undefined) return;
        const taken = Math.min(chunk.byteLength - done, next.end - at);
        hashes[next.part]?.update(chunk.subarray(done, done + taken));
        done += taken;
        at += taken;
        if (at === next.end) piece += 1;
      }
    },
    digests: () => hashes.map((hash) => `sha256:${hash.digest("hex")}` as const),
  };
}
