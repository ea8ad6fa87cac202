import { OcibundleError } from "../../errors.ts";
import type { BlobSource } from "../../oci/content.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import type { StoredPart } from "../parts/parts-artifact.ts";
import type { FormChecks } from "./confirm-form.ts";
import { type RemoteFile, remoteMismatch } from "./remote-file.ts";

/** What a lock's blobs are made from. */
export interface WeightSources {
  /** The lock's name in messages. */
  lock: string;
  /** Where each file lies, by its name in the lock. */
  paths: ReadonlyMap<string, string>;
  /** Those that are not on this machine, by the same names. */
  remotes?: ReadonlyMap<string, RemoteFile> | undefined;
  /** Why there is no path for an entry, to be thrown when its file is needed. */
  missing(): OcibundleError;
  stored: StoredWeights;
}

/** What this machine knows of a weight file besides its bytes. */
export interface StoredWeights {
  /** The entry's blob in the cache, or undefined. */
  cached(
    entry: Pick<WeightEntry, "digest" | "size">,
    signal: AbortSignal,
  ): Promise<string | undefined>;
  /** Encodes a part of the file, which begins at `start`, as it is stored. Throws `integrity` when that is another. */
  encode(
    entry: WeightEntry,
    piece: { part: StoredPart; path: string; start: number },
    signal: AbortSignal,
  ): Promise<BlobSource>;
  /** Finds out whether a stored form is that of its original. */
  forms: FormChecks;
  /** Makes the stored (compressed) blob from the file. Throws `integrity` when it is another. */
  compress(entry: WeightEntry, path: string, signal: AbortSignal): Promise<BlobSource>;
}

/** What to do about a file that is not what a lock says. */
export const lockAgain = (lock: string): string =>
  `the file changed since ${lock} was written; run \`ocibundle lock\`, then push again`;

/** What to do where the bytes of an entry's blob are others than the lock says. */
export function mismatchHint({ name }: WeightEntry, { remotes, lock }: WeightSources): string {
  const remote = remotes?.get(name);
  return remote === undefined ? lockAgain(lock) : remoteMismatch(remote.uri);
}

/** Whether the entry's blob is another than its file. */
export const isCompressed = (entry: WeightEntry): boolean => entry.digest !== entry.digestOriginal;
