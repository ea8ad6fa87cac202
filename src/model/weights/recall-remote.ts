import type { WeightEntry } from "../format/weight-entry.ts";
import type { RemoteFile } from "./remote-file.ts";

/**
 * What an entry of a lock says of a remote file that was not read: `same` where the source is in the state that was
 * locked, `changed` where it is in another one, `unknown` where nothing tells.
 */
export function stateOfEntry(
  remote: RemoteFile,
  entry: WeightEntry,
): "same" | "changed" | "unknown" {
  if (remote.size !== undefined && remote.size !== entry.sizeUncompressed) return "changed";
  const { source, sourceVersion } = entry;
  if (source !== remote.uri || remote.version === undefined) return "unknown";
  if (typeof sourceVersion !== "string") return "unknown";
  return sourceVersion === remote.version && remote.size !== undefined ? "same" : "changed";
}

/** Takes the digest of a remote file from the lock's entry where its source is in the state that was locked. */
export function recallRemote(remote: RemoteFile | undefined, entry: WeightEntry | undefined): void {
  if (remote === undefined || entry === undefined || remote.digest !== undefined) return;
  if (stateOfEntry(remote, entry) === "same") remote.digest = entry.digestOriginal;
}
