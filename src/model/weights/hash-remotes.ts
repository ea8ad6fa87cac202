import { OcibundleError } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import type { ReadOptions } from "./file-state.ts";
import { type Hashed, hashRemote, type RemoteFile } from "./remote-file.ts";

/** Files that are fetched at once to be hashed. */
const fetchesAtOnce = 8;

/** The bytes of one file, and of all, that are kept for when they are sent. */
const keptBytes = 1024 * 1024;
const keptBytesOfRun = 16 * 1024 * 1024;

/** Fetches the files whose digests nothing says, once, and answers them. Throws what their sources throw. */
export async function hashRemotes(
  remotes: Iterable<RemoteFile>,
  options: ReadOptions,
): Promise<ReadonlySet<RemoteFile>> {
  const { signal, emit, remoteRecords } = options;
  const unknown = new Set([...remotes].filter(({ digest }) => digest === undefined));
  if (unknown.size === 0) return unknown;
  const bytes = [...unknown].reduce((sum, { size = 0 }) => sum + size, 0);
  emit({ type: "phase", phase: "hash", items: unknown.size, bytes });
  let kept = 0;
  const one = async (remote: RemoteFile, stop: AbortSignal): Promise<void> => {
    const { uri: item, size = 0, gitId, keys, contentKey } = remote;
    emit({ type: "start", phase: "hash", item, group: "weights", bytes: size });
    const keep = kept + keptBytes <= keptBytesOfRun ? keptBytes : 0;
    if (size <= keep) kept += size;
    const hashed = await hashOnce(remote, keep, options, stop);
    remote.digest = hashed.sha256;
    remote.size = hashed.size;
    remote.bytes = hashed.bytes;
    if (gitId !== undefined && gitId !== hashed.gitId) {
      const message = `${item} does not have the Git object ID that the hub lists, ${gitId}`;
      emit({ type: "warning", message });
    } else if (contentKey !== undefined) remoteRecords?.add(contentKey, hashed.sha256);
    for (const key of keys) remoteRecords?.add(key, hashed.sha256);
    emit({ type: "done", phase: "hash", item });
  };
  try {
    await parallel(unknown, fetchesAtOnce, signal, one);
  } finally {
    await remoteRecords?.save();
  }
  return unknown;
}

/** Times that a file is read from its start again, where nothing says that what comes next belongs to it. */
const maxRestarts = 2;

async function hashOnce(
  remote: RemoteFile,
  keep: number,
  { emit }: ReadOptions,
  signal: AbortSignal,
): Promise<Hashed> {
  const item = remote.uri;
  for (let restarts = 0; ; restarts += 1) {
    let told = 0;
    const onBytes = (bytes: number): void => {
      told += bytes;
      emit({ type: "progress", phase: "hash", item, bytes });
    };
    try {
      return await hashRemote(remote, { keep, signal, onBytes });
    } catch (error) {
      const broke = error instanceof OcibundleError && error.code === "network" && told > 0;
      if (signal.aborted || remote.goesOn === true || !broke || restarts === maxRestarts) {
        throw error;
      }
      emit({ type: "progress", phase: "hash", item, bytes: -told });
      emit({ type: "detail", message: `${error.message}; reading it from its start again` });
    }
  }
}
