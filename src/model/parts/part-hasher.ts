import { createHash, type Hash } from "node:crypto";
import type { PartPlaces } from "../../runtime/part-places.ts";
import { inFileOrder } from "./in-file-order.ts";

/** Digests of a file's parts, from the file's bytes in their order. */
export interface PartHasher {
  update(chunk: Uint8Array): void;
  /** In the order of the plan, once every byte has come. */
  digests(): `sha256:${string}`[];
}

/** Keeps a state of a hash, of some kilobytes, for each part that has begun and not ended, and no bytes. */
export function partHasher(plan: readonly PartPlaces[]): PartHasher {
  const lacking = plan.map(({ bytes }) => bytes);
  const begun = new Map<number, Hash>();
  const done: `sha256:${string}`[] = [];
  const take = (part: number, bytes: Uint8Array): void => {
    const hash = begun.get(part) ?? createHash("sha256");
    begun.set(part, hash.update(bytes));
    const left = (lacking[part] ?? 0) - bytes.byteLength;
    lacking[part] = left;
    if (left > 0) return;
    begun.delete(part);
    done[part] = digestOfHash(hash);
  };
  const pieces = inFileOrder(plan);
  let at = 0;
  let piece = pieces.next().value;
  return {
    update(chunk) {
      for (let from = 0; from < chunk.byteLength;) {
        // More bytes than the file had: its size and its digest tell.
        if (piece === undefined) return;
        const end = piece.position + piece.length;
        const taken = Math.min(chunk.byteLength - from, end - at);
        take(piece.part, chunk.subarray(from, from + taken));
        from += taken;
        at += taken;
        if (at === end) piece = pieces.next().value;
      }
    },
    digests: () =>
      plan.map((_, part) => done[part] ?? digestOfHash(begun.get(part) ?? createHash("sha256"))),
  };
}

const digestOfHash = (hash: Hash) => `sha256:${hash.digest("hex")}` as const;
