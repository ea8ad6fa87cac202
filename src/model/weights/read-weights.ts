import { OcibundleError } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import type { ReadOptions, WantedFile, WeightContent } from "./file-state.ts";
import { readWeightFiles } from "./read-weight-files.ts";
import { hashRemote, remoteContent, type RemoteFile } from "./remote-file.ts";

/** Files that are fetched at once to be hashed. */
const fetchesAtOnce = 8;

/** The bytes of one file, and of all, that are kept for when they are sent. */
const keptBytes = 1024 * 1024;
const keptBytesOfRun = 16 * 1024 * 1024;

export interface WantedWeight extends WantedFile {
  /** Where the file lies when it is not on this machine. */
  remote?: RemoteFile | undefined;
}

/**
 * What weight files hold, in their order: those of this machine as `readWeightFiles` has it, remote ones by
 * the digests that their source lists. What has none there is fetched once to be hashed. Throws as
 * `readWeightFiles` does, and what the source throws.
 */
export async function readWeights(
  wanted: readonly WantedWeight[],
  options: ReadOptions,
): Promise<WeightContent[]> {
  const local = wanted.filter(({ remote }) => remote === undefined);
  const contents = await readWeightFiles(local, options);
  const read = await hashUnknown(wanted, options);
  let at = 0;
  return wanted.map(({ remote, choose }) => {
    if (remote === undefined) {
      const content = contents[at++];
      if (content === undefined) throw new Error("a weight file was not read");
      return content;
    }
    const { uri, digest, size } = remote;
    if (digest === undefined) throw new Error(`${uri} was not hashed`);
    const choice = choose(size);
    if (choice === "gzip" || choice === "zstd") {
      throw new OcibundleError(
        "usage",
        `--compression ${choice}: ${uri} is stored as it is, so that it need not be fetched`,
        { hint: "leave out --compression, or download the files and lock the directory" },
      );
    }
    return remoteContent(digest, size, read.has(remote));
  });
}

async function hashUnknown(
  wanted: readonly WantedWeight[],
  { signal, emit, remoteRecords }: ReadOptions,
): Promise<Set<RemoteFile>> {
  const unknown = new Set(
    wanted.flatMap(({ remote }) =>
      remote === undefined || remote.digest !== undefined ? [] : [remote],
    ),
  );
  if (unknown.size === 0) return unknown;
  const bytes = [...unknown].reduce((sum, { size }) => sum + size, 0);
  emit({ type: "phase", phase: "hash", items: unknown.size, bytes });
  let kept = 0;
  const one = async (remote: RemoteFile, stop: AbortSignal): Promise<void> => {
    const { uri: item, size, gitId, keys, contentKey } = remote;
    emit({ type: "start", phase: "hash", item, group: "weights", bytes: size });
    const keep = kept + size <= keptBytesOfRun ? keptBytes : 0;
    if (size <= keep) kept += size;
    const hashed = await hashRemote(remote, keep, stop);
    remote.digest = hashed.sha256;
    remote.bytes = hashed.bytes;
    if (gitId !== undefined && gitId !== hashed.gitId) {
      const message = `${item} does not have the Git object ID that the hub lists, ${gitId}`;
      emit({ type: "warning", message });
    } else if (contentKey !== undefined) remoteRecords?.add(contentKey, hashed.sha256);
    for (const key of keys) remoteRecords?.add(key, hashed.sha256);
    emit({ type: "progress", phase: "hash", item, bytes: size });
    emit({ type: "done", phase: "hash", item });
  };
  try {
    await parallel(unknown, fetchesAtOnce, signal, one);
  } finally {
    await remoteRecords?.save();
  }
  return unknown;
}
