import { createHash, type Hash } from "node:crypto";
import { passing } from "../../flow/passing.ts";
import type { BlobSource, ByteRange, UnnamedBlob } from "../../oci/content.ts";

/** The SHA-256 digest of bytes that were sent. */
export type Sha256 = `sha256:${string}`;

/** A source that is hashed as it is sent, in whatever ranges it is asked for. */
export interface HashingSource {
  source: BlobSource;
  /** Of all bytes; what was not sent is read for it. */
  digest(signal: AbortSignal): Promise<Sha256>;
}

/**
 * Hashes a blob on its way. The state of the hash is kept at the ends of the last range, so that a request that is
 * made again costs no reading; what an earlier run has sent is read once to be hashed.
 */
export function hashingSource({ size, open }: UnnamedBlob): HashingSource {
  const states = new Map<number, Hash>([[0, createHash("sha256")]]);
  let digest: Sha256 | undefined;

  const stateAt = async (position: number, signal: AbortSignal): Promise<Hash> => {
    const known = states.get(position);
    if (known !== undefined) return known.copy();
    const before = Math.max(...[...states.keys()].filter((at) => at < position));
    const hash = (states.get(before) ?? createHash("sha256")).copy();
    for await (const chunk of open({ start: before, end: position }, signal)) hash.update(chunk);
    keep(before, position, hash);
    return hash.copy();
  };
  const keep = (start: number, end: number, hash: Hash): void => {
    for (const at of states.keys()) if (at !== 0 && at !== start) states.delete(at);
    states.set(end, hash);
  };
  return {
    source: {
      kind: "stream",
      async open(range: ByteRange, signal: AbortSignal, until) {
        const hash = await stateAt(range.start, signal);
        let at = range.start;
        return passing(open(range, signal, until), {
          onChunk(chunk) {
            hash.update(chunk);
            at += chunk.byteLength;
            // A reader need not wait for the end behind the last byte.
            if (at === range.end) keep(range.start, at, hash);
          },
        });
      },
    },
    async digest(signal) {
      digest ??= `sha256:${(await stateAt(size, signal)).digest("hex")}`;
      return digest;
    },
  };
}
