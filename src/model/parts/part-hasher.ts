import { createHash } from "node:crypto";
import type { PartPlaces } from "../../runtime/part-places.ts";
import { inFileOrder } from "./in-file-order.ts";

/** Digests of a file's parts, from the file's bytes in their order. */
export interface PartHasher {
  update(chunk: Uint8Array): void;
  /** In the order of the plan, once every byte has come. */
  digests(): `sha256:${string}`[];
}

/** Keeps a state of a hash for each part, and no bytes. */
export function partHasher(plan: readonly PartPlaces[]): PartHasher {
  const hashes = plan.map(() => createHash("sha256"));
  const pieces = inFileOrder(plan);
  let at = 0;
  let piece = pieces.next().value;
  return {
    update(chunk) {
      for (let done = 0; done < chunk.byteLength;) {
        // More bytes than the file had: its size and its digest tell.
        if (piece === undefined) return;
        const end = piece.position + piece.length;
        const taken = Math.min(chunk.byteLength - done, end - at);
        hashes[piece.part]?.update(chunk.subarray(done, done + taken));
        done += taken;
        at += taken;
        if (at === end) piece = pieces.next().value;
      }
    },
    digests: () => hashes.map((hash) => `sha256:${hash.digest("hex")}` as const),
  };
}
