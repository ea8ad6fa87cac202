import { OcibundleError } from "../../errors.ts";
import { type Hub, openHub } from "../../hub/hub.ts";
import type { HubFile } from "../../hub/listing.ts";
import { formatHubUri, type HubAddress } from "../../hub/uri.ts";
import { openCache } from "../../store/cache/cache.ts";
import { openHubRecords } from "../../store/records/hub-records.ts";
import { type Config, readConfig, settingsOf } from "../session/config.ts";
import type { JobContext } from "../session/session.ts";
import { quoted } from "../format/weight-entry.ts";
import type { PathFilter } from "./path-filter.ts";
import type { RemoteFile } from "./remote-file.ts";

type HubJob = JobContext & { config?: Config };

/** What a run knows of its hub. */
interface HubRun {
  hub: Hub;
  /** By address, so that a file is fetched once to be hashed. */
  files: Map<string, RemoteFile>;
}

/** One hub a run: its listings and limits are shared, and a revision stands for one commit throughout. */
const runs = new WeakMap<AbortSignal, Promise<HubRun>>();

function hubOf(job: HubJob): Promise<HubRun> {
  const known = runs.get(job.signal) ?? open(job);
  runs.set(job.signal, known);
  return known;
}

async function open(job: HubJob): Promise<HubRun> {
  const { env, emit, flags } = job;
  const config = job.config ?? readConfig(job);
  const hub = await openHub({
    env,
    emit,
    plainHttp: flags.plainHttp,
    // The flags of the run are about the registry; of a hub counts what is configured for its host.
    certificates: (host) => {
      const { insecure, caFile, certFile, keyFile } = settingsOf(config, host);
      return { insecure, caFile, certFile, keyFile };
    },
  });
  return { hub, files: new Map() };
}

/** A file of a model, with its path below what was named. */
export interface FoundRemote {
  below: string;
  /** Whether the address is that of this file. */
  isNamed: boolean;
  remote: RemoteFile;
}

/**
 * The files of a model, or of a part of it, that the filter takes. As in a directory, what has a name that
 * starts with a dot is left out unless an include pattern names such a file. Throws `not_found`, `denied`,
 * `network`, `usage`.
 */
export async function hubFiles(
  job: HubJob,
  address: HubAddress,
  {
    filter,
    onLeftOut,
  }: { filter?: PathFilter | undefined; onLeftOut?: ((path: string) => void) | undefined },
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
  const records = openHubRecords(openCache(job));
  const taken: FoundRemote[] = [];
  for (const { file, below } of found) {
    const isNamed = file.path === address.path;
    if (!takes(filter, below, isNamed)) {
      onLeftOut?.(root.endsWith(`/${below}`) ? root : `${root}/${below}`);
      continue;
    }
    const uri = formatHubUri({ model, revision: commit, path: file.path });
    const keys = recordKeys(run.hub.endpoint, uri, file);
    const remote: RemoteFile = run.files.get(uri) ?? {
      uri,
      size: file.size,
      digest:
        file.digest ?? (await records.find(keys.content)) ?? (await records.find(keys.address)),
      gitId: file.gitId,
      keys,
      open: run.hub.open(listing, file),
    };
    run.files.set(uri, remote);
    taken.push({ below, isNamed, remote });
  }
  return taken;
}

/** The path below a directory of the model; a file that is named itself keeps its last part. */
function belowPath(path: string, directory: string): string | undefined {
  if (directory === "") return path;
  if (path === directory) return path.slice(path.lastIndexOf("/") + 1);
  return path.startsWith(`${directory}/`) ? path.slice(directory.length + 1) : undefined;
}

/** The rules of directories on this machine. A file that is named itself may be hidden. */
function takes(filter: PathFilter | undefined, below: string, isNamed: boolean): boolean {
  const parts = below.split("/");
  const isHidden = parts.some((part) => part.startsWith("."));
  if (isHidden && !isNamed && filter?.namesHidden !== true) return false;
  if (filter === undefined) return true;
  const directories = parts.slice(0, -1).map((_, index) => parts.slice(0, index + 1).join("/"));
  return directories.every((directory) => filter.enters(directory)) && filter.takes(below);
}

const recordKeys = (endpoint: string, uri: string, { gitId, size }: HubFile) => ({
  content: gitId === undefined ? undefined : `git:${gitId}:${size}`,
  // What is no hash may stand for other content tomorrow.
  address: /@(?:[0-9a-f]{40}|[0-9a-f]{64})\//.test(uri) ? `${endpoint} ${uri} ${size}` : undefined,
});
