import type { ReadRange } from "../../oci/content.ts";
import { openCache } from "../../store/cache/cache.ts";
import { openRemoteRecords } from "../../store/records/remote-records.ts";
import { openWeb, type Web } from "../../web/client.ts";
import { shownUrl, type WebAddress } from "../../web/url.ts";
import { type FoundRemote, type RemoteChoice, takes } from "./remote-choice.ts";
import type { RemoteFile } from "./remote-file.ts";
import { oncePerRun, type RemoteJob } from "./remote-run.ts";

interface WebRun {
  web: Web;
  /** By URL with its query: a file is in one state throughout a run. */
  files: Map<string, Promise<RemoteFile>>;
}

const webOf = oncePerRun((connection): WebRun => ({ web: openWeb(connection), files: new Map() }));

/** The file of a URL, where it is chosen (see `remoteFiles`). */
export async function webFiles(
  job: RemoteJob,
  address: WebAddress,
  { filter, onLeftOut }: RemoteChoice,
): Promise<FoundRemote[]> {
  const { url, file: below } = address;
  if (!takes(filter, below, true)) {
    onLeftOut?.(shownUrl(url.href));
    return [];
  }
  const { web, files } = webOf(job);
  const remote = files.get(url.href) ?? remoteFile(job, web, address);
  files.set(url.href, remote);
  return [{ below, isNamed: true, remote: await remote }];
}

async function remoteFile(job: RemoteJob, web: Web, address: WebAddress): Promise<RemoteFile> {
  const found = await web.look(address, job.signal);
  const { size, etag } = found;
  const uri = shownUrl(address.url.href);
  // Files that differ in their queries alone may have one ETag, and have one address without them.
  const version =
    etag !== undefined && isSignature(address.url.searchParams) ? `etag:${etag}` : undefined;
  const keys = version !== undefined && size !== undefined ? [`${uri} ${version} ${size}`] : [];
  let read: ReadRange | undefined;
  const remote: RemoteFile = {
    uri,
    size,
    version,
    digest: await openRemoteRecords(openCache(job)).find(keys[0]),
    keys,
    goesOn: found.goesOn,
    open(range, ...asked) {
      read ??= found.opener(remote.size ?? range.end);
      return read(range, ...asked);
    },
    openAll: (signal) => found.openAll(signal),
  };
  return remote;
}

/**
 * Whether a query does nothing but let somebody in. Any other may choose between files, and is kept out of records
 * since it may be a secret: what it stands for is not remembered.
 */
const isSignature = (query: URLSearchParams): boolean =>
  [...query.keys()].every((name) =>
    /^(?:x-amz-|x-goog-)|^(?:AWSAccessKeyId|GoogleAccessId|Signature|Expires|s[eprtv]|spr|sig|skoid|sktid|skt|ske|sks|skv)$/i.test(
      name,
    ),
  );
