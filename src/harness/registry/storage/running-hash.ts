import { createHash, type Hash } from "node:crypto";
import { runtime } from "../../../runtime/current.ts";
import { type StreamHash, startStreamHash } from "../../../runtime/stream-hash.ts";

/** The hash of what an upload has received so far. */
export interface RunningHash {
  /**
   * Adds bytes, which must stay as they are until the promise resolves. `more` says that there are
   * likely to be many more.
   */
  update(bytes: Uint8Array<SharedArrayBuffer>, more: boolean): Promise<void>;
  /** In hex. Nothing can be added afterwards. */
  digest(): Promise<string>;
  drop(): void;
}

/**
 * Starts a hash. Where the first bytes are many it is computed in another thread, so that receiving and
 * hashing take no time from each other; a small blob's is not worth that.
 */
export function startHash(algorithm: "sha256" | "sha512"): RunningHash {
  let here: Hash | undefined;
  let elsewhere: StreamHash | undefined;
  return {
    async update(bytes, more) {
      if (here === undefined && elsewhere === undefined && more && runtime.hashesInWorkers) {
        elsewhere = startStreamHash(algorithm);
      }
      if (elsewhere !== undefined) await elsewhere.update(bytes);
      else (here ??= createHash(algorithm)).update(bytes);
    },
    digest: async () =>
      elsewhere === undefined
        ? (here ?? createHash(algorithm)).digest("hex")
        : await elsewhere.digest(),
    drop: () => elsewhere?.drop(),
  };
}
