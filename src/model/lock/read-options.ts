import { availableParallelism } from "node:os";
import { openCache } from "../../store/cache/cache.ts";
import { openCutRecords } from "../../store/records/cut-records.ts";
import { openFileRecords } from "../../store/records/file-records.ts";
import { openRemoteRecords } from "../../store/records/remote-records.ts";
import type { JobContext } from "../session/session.ts";
import type { ReadOptions } from "../weights/file-state.ts";

/** A worker takes some megabytes of memory, and no disk feeds more of them. */
const maxWorkers = 16;

/** How a job's weight files are read. */
export function readOptions({
  env,
  cwd,
  signal,
  emit,
  flags,
  sendUnnamed,
}: JobContext): ReadOptions {
  const cache = openCache({ env, cwd });
  const workers = Math.min(availableParallelism(), flags.concurrency ?? maxWorkers, maxWorkers);
  const records = openFileRecords(cache);
  return {
    records,
    remoteRecords: openRemoteRecords(cache),
    cutRecords: openCutRecords(cache),
    cache,
    signal,
    emit,
    workers,
    sendUnnamed,
  };
}
