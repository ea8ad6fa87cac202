import { parallel } from "../../flow/parallel.ts";
import { versionText } from "../../s3/object.ts";
import type { S3Object } from "../../s3/listing.ts";
import { openS3Store, type S3Store } from "../../s3/store.ts";
import { formatS3Uri, type S3Address } from "../../s3/uri.ts";
import { openCache } from "../../store/cache/cache.ts";
import { openRemoteRecords, type RemoteRecords } from "../../store/records/remote-records.ts";
import { belowPath, type FoundRemote, type RemoteChoice, takes } from "./remote-choice.ts";
import type { RemoteFile } from "./remote-file.ts";
import { oncePerRun, type RemoteJob } from "./remote-run.ts";

/** What a run knows of its object store. */
interface BucketRun {
  store: S3Store;
  /** By address: an object is one version of it throughout a run. */
  files: Map<string, Promise<RemoteFile>>;
}

const storeOf = oncePerRun(async (connection): Promise<BucketRun> => ({
  store: await openS3Store(connection),
  files: new Map(),
}));

/** Objects that are looked at at once. */
const headsAtOnce = 16;

/** The objects of a bucket that are chosen (see `remoteFiles`). */
export async function bucketFiles(
  job: RemoteJob,
  address: S3Address,
  { filter, onLeftOut }: RemoteChoice,
): Promise<FoundRemote[]> {
  const { store, files } = await storeOf(job);
  const { bucket } = address;
  const { objects, isObject } = await store.list(address, job.signal);
  const records = openRemoteRecords(openCache(job));
  const taken = objects.flatMap((object) => {
    const below = belowPath(object.key, address.key) ?? object.key;
    if (takes(filter, below, isObject)) return [{ object, below }];
    onLeftOut?.(formatS3Uri(bucket, object.key));
    return [];
  });
  return parallel(taken, headsAtOnce, job.signal, async ({ object, below }, stop) => {
    const uri = formatS3Uri(bucket, object.key);
    const remote = files.get(uri) ?? remoteFile(store, bucket, object, records, stop);
    files.set(uri, remote);
    return { below, isNamed: isObject, remote: await remote };
  });
}

async function remoteFile(
  store: S3Store,
  bucket: string,
  object: S3Object,
  records: RemoteRecords,
  signal: AbortSignal,
): Promise<RemoteFile> {
  const { key } = object;
  const uri = formatS3Uri(bucket, key);
  const recordKeys = (state: {
    etag: string | undefined;
    size: number;
    versionId?: string | undefined;
  }) => {
    const text = versionText({ versionId: undefined, ...state });
    return text === undefined ? [] : [`${store.name} ${uri} ${text} ${state.size}`];
  };
  const find = async (keys: readonly string[]) => await records.find(keys[0]);
  const known = await find(recordKeys(object));
  // The condition of its requests is its ETag, so that one that was seen before need not be asked for now.
  const version =
    known === undefined
      ? await store.head(bucket, object, signal)
      : { ...object, versionId: undefined, modified: undefined, isSteady: true, digest: known };
  const keys = recordKeys(version);
  return {
    uri,
    size: version.size,
    version: versionText(version),
    digest: version.digest ?? (await find(keys)),
    keys,
    goesOn: version.isSteady,
    open: store.open(bucket, key, version),
  };
}
