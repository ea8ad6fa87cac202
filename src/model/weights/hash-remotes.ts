import { OcibundleError } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import { mayBeSplit } from "../parts/tree-numbers.ts";
import type { FileCut, ReadOptions, Sha256 } from "./file-state.ts";
import {
  type Hashed,
  type HashOptions,
  hashRemote,
  type RemoteFile,
  remoteMismatch,
} from "./remote-file.ts";

/** Files that are fetched at once to be hashed. */
const fetchesAtOnce = 8;

/** The bytes of one file, and of all, that are kept for when they are sent. */
const keptBytes = 1024 * 1024;
const keptBytesOfRun = 16 * 1024 * 1024;

/** A remote file, and the digest that it must have; null where it is not to be sent before that is known. */
export interface WantedRemote {
  remote: RemoteFile;
  expected: Sha256 | null | undefined;
  /** How it is cut into parts whose digests are wanted as well. */
  cut?: FileCut | undefined;
}

/**
 * Fetches the files whose digests, or those of their parts, nothing says, once, and answers them. Large ones are sent
 * on the way where there is somewhere to. Throws what their sources throw, and `integrity` where one sends other
 * bytes than it lists.
 */
export async function hashRemotes(
  wanted: readonly WantedRemote[],
  options: ReadOptions,
): Promise<ReadonlySet<RemoteFile>> {
  const { signal, emit, remoteRecords, cutRecords } = options;
  const wantedOf = new Map(wanted.map((one) => [one.remote, one]));
  const unknown = new Set<RemoteFile>();
  for (const { remote, cut } of wanted) {
    await recallParts(remote, cut, options);
    const lacksParts = cut !== undefined && remote.parts?.split !== cut.split;
    if (remote.digest === undefined || lacksParts) unknown.add(remote);
  }
  if (unknown.size === 0) return unknown;
  const bytes = [...unknown].reduce((sum, { size = 0 }) => sum + size, 0);
  emit({ type: "phase", phase: "hash", items: unknown.size, bytes });
  let kept = 0;
  const one = async (remote: RemoteFile, stop: AbortSignal): Promise<void> => {
    const { uri: item, size = 0, gitId, keys, contentKey } = remote;
    emit({ type: "start", phase: "hash", item, group: "weights", bytes: size });
    const keep = kept + keptBytes <= keptBytesOfRun ? keptBytes : 0;
    if (size <= keep) kept += size;
    const { expected, cut } = wantedOf.get(remote) ?? {};
    const listed = remote.digest;
    const hashed =
      (cut === undefined ? await sendWhileHashed(remote, expected, options, stop) : undefined) ??
      (await hashOnce(remote, { keep, cut }, options, stop));
    if (listed !== undefined && listed !== hashed.sha256) {
      throw new OcibundleError("integrity", `${item} does not have digest ${listed}`, {
        hint: remoteMismatch(item),
      });
    }
    remote.digest = hashed.sha256;
    if (cut !== undefined && hashed.parts !== undefined) {
      remote.parts = { split: cut.split, digests: hashed.parts };
      await cutRecords?.add(hashed.sha256, cut.split, hashed.parts);
    }
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

/** Takes the digests of a file's parts from what an earlier run has found. */
async function recallParts(
  remote: RemoteFile,
  cut: FileCut | undefined,
  { cutRecords }: ReadOptions,
): Promise<void> {
  if (cut === undefined || remote.digest === undefined || remote.parts?.split === cut.split) return;
  const digests = await cutRecords?.find(remote.digest, cut.split);
  if (digests?.length === cut.plan.length) remote.parts = { split: cut.split, digests };
}

/** Sends a large file while it is hashed; undefined where it is only to be hashed. */
async function sendWhileHashed(
  remote: RemoteFile,
  expected: Sha256 | null | undefined,
  { sendUnnamed, emit }: ReadOptions,
  signal: AbortSignal,
): Promise<Hashed | undefined> {
  const { uri, size, version, gitId, goesOn, open } = remote;
  if (sendUnnamed === undefined || size === undefined || size <= keptBytes) return undefined;
  // What can't be read on from where it broke is hashed first, and then sent by its digest.
  if (goesOn !== true || gitId !== undefined || expected === null) return undefined;
  let told = 0;
  const onBytes = (bytes: number, resumed?: boolean): void => {
    told += bytes;
    const before = resumed === true ? ({ resumed: true } as const) : {};
    emit({ type: "progress", phase: "hash", item: uri, bytes, ...before });
  };
  const identity = version === undefined ? undefined : `${uri} ${version} ${size}`;
  const digest = await sendUnnamed(
    { size, label: uri, identity, expected, canSplit: mayBeSplit(size), open },
    onBytes,
    signal,
  );
  if (digest !== undefined) return { sha256: digest, size, gitId: undefined, bytes: undefined };
  if (told !== 0) onBytes(-told);
  return undefined;
}

/** Times that a file is read from its start again, where nothing says that what comes next belongs to it. */
const maxRestarts = 2;

async function hashOnce(
  remote: RemoteFile,
  how: Pick<HashOptions, "keep" | "cut">,
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
      return await hashRemote(remote, { ...how, signal, onBytes });
    } catch (error) {
      const broke = error instanceof OcibundleError && error.code === "network" && told > 0;
      if (signal.aborted || remote.goesOn === true || !broke || restarts === maxRestarts) {
        throw error;
      }
      emit({ type: "progress", phase: "hash", item, bytes: -told });
      emit({ type: "detail", message: `${error.message}; reading it again from the start` });
    }
  }
}
