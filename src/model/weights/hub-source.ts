import { OcibundleError } from "../../errors.ts";
import { type Hub, openHub } from "../../hub/hub.ts";
import type { HubFile } from "../../hub/listing.ts";
import { formatHubUri, type HubAddress } from "../../hub/uri.ts";
import { openCache } from "../../store/cache/cache.ts";
import { openRemoteRecords } from "../../store/records/remote-records.ts";
import { quoted } from "../format/weight-entry.ts";
import { belowPath, type FoundRemote, type RemoteChoice, takes } from "./remote-choice.ts";
import type { RemoteFile } from "./remote-file.ts";
import { oncePerRun, type RemoteJob } from "./remote-run.ts";

/** What a run knows of its hub. */
interface HubRun {
  hub: Hub;
  /** By address, so that a file is fetched once to be hashed. */
  files: Map<string, RemoteFile>;
}

/** One hub a run: its listings and limits are shared, and a revision stands for one commit throughout. */
const hubOf = oncePerRun(async (connection): Promise<HubRun> => ({
  hub: await openHub(connection),
  files: new Map(),
}));

/**
 * The files of a model that are chosen (see `remoteFiles`). Throws `not_found` for a path that has none, and as the
 * hub.
 */
export async function hubFiles(
  job: RemoteJob,
  address: HubAddress,
  { filter, onLeftOut }: RemoteChoice,
): Promise<FoundRemote[]> {
  const run = await hubOf(job);
  const listing = await run.hub.list(address, job.signal);
  const { model, commit } = listing;
  const root = formatHubUri({ model, revision: commit, path: address.path });
  const found = listing.files.flatMap((file) => {
    const below = belowPath(file.path, address.path);
    return below === undefined ? [] : [{ file, below }];
  });
  if (found.length === 0 && address.path !== "") {
    throw new OcibundleError("not_found", `${root} does not exist`, {
      hint: `the model has ${listing.files
        .slice(0, 5)
        .map(({ path }) => quoted(path))
        .join(", ")}`,
    });
  }
  const records = openRemoteRecords(openCache(job));
  const taken: FoundRemote[] = [];
  for (const { file, below } of found) {
    const isNamed = file.path === address.path;
    if (!takes(filter, below, isNamed)) {
      onLeftOut?.(root.endsWith(`/${below}`) ? root : `${root}/${below}`);
      continue;
    }
    const uri = formatHubUri({ model, revision: commit, path: file.path });
    const kept = recordKeys(run.hub.endpoint, uri, file);
    const remote: RemoteFile = run.files.get(uri) ?? {
      uri,
      size: file.size,
      digest:
        file.digest ?? (await records.find(kept.contentKey)) ?? (await records.find(kept.keys[0])),
      gitId: file.gitId,
      ...kept,
      goesOn: true,
      open: run.hub.open(listing, file),
    };
    run.files.set(uri, remote);
    taken.push({ below, isNamed, remote });
  }
  return taken;
}

/** The license that a model's card names, as the hub writes it: `apache-2.0`. Throws as `remoteFiles` does. */
export async function hubLicense(job: RemoteJob, address: HubAddress): Promise<string | undefined> {
  const { hub } = await hubOf(job);
  return hub.license(address, job.signal);
}

const recordKeys = (endpoint: string, uri: string, { gitId, size }: HubFile) => ({
  contentKey: gitId === undefined ? undefined : `git:${gitId}:${size}`,
  // What is no hash may stand for other content tomorrow.
  keys: /@(?:[0-9a-f]{40}|[0-9a-f]{64})\//.test(uri) ? [`${endpoint} ${uri} ${size}`] : [],
});
