import { dropOldest } from "../../flow/drop-oldest.ts";
import { join } from "node:path";
import { systemTemp } from "../../image/conversion/temp-directory.ts";
import type { ContentReader, ContentWriter, UnnamedBlob } from "../../oci/content.ts";
import type { Reference } from "../../oci/reference.ts";
import { type Mirror, mirroredRepository, mirrorHealth } from "../../registry/mirrored.ts";
import { registryReader } from "../../registry/reader.ts";
import { triesOfRun } from "../../registry/registry.ts";
import type { Registry, Repository } from "../../registry/types.ts";
import { type Cache, openCache } from "../../store/cache/cache.ts";
import { isNowhere } from "../../store/cache/directory.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import { registryWriter } from "../../transfer/upload/registry-writer.ts";
import { uploadJournal } from "../../transfer/upload/upload-journal.ts";
import { uploadMemory } from "../../transfer/upload/upload-memory.ts";
import { type Config, readConfig } from "./config.ts";
import { checkFlags, connect, type ConnectionFlags, connectMirror } from "./connect.ts";
import { isSameRegistry, settingsOf } from "./settings-of.ts";

/** What every job is given by the command that starts it. A command's context has this shape. */
export interface JobContext {
  env: Readonly<Record<string, string | undefined>>;
  /** The working directory, absolute. */
  cwd: string;
  signal: AbortSignal;
  emit: EmitEvent;
  flags: ConnectionFlags & {
    concurrency: number | undefined;
    /** The configuration to use in place of the user's own. */
    config?: string | undefined;
  };
  /** Of a push: what must be read to be hashed is sent on the way. */
  sendUnnamed?: SendUnnamed | undefined;
}

/**
 * Sends bytes whose digest is not known while they are read. Answers the digest; undefined where they are to be read
 * for it alone.
 */
export type SendUnnamed = (
  blob: UnnamedBlob,
  onBytes: (bytes: number, resumed?: boolean) => void,
  signal: AbortSignal,
) => Promise<`sha256:${string}` | undefined>;

/** The connections and stores of one run: one client a registry, so that tokens and limits are shared. */
export interface Session extends JobContext {
  cache: Cache;
  /** Where temporary files go, on the cache's file system. */
  tempDir: string;
  config: Config;
  registry(host: string): Registry;
  /** The repository itself: what is to be written to. */
  repository(reference: Place): Repository;
  /** The same for reading: its mirrors are asked first. */
  mirrored(reference: Place): Repository;
  /** Reads from mirrors where there are some. */
  reader(reference: Place): ContentReader;
  /** Reads from the registry itself: what is to be changed there must be what is there. */
  originReader(reference: Place): ContentReader;
  /** Uploads that an earlier run left unfinished are gone on with. */
  writer(reference: Place): ContentWriter;
}

type Place = Pick<Reference, "host" | "repository">;

/** How often a server may fail as often as a run, in milliseconds. */
const triesRenewedEvery = 3_600_000;
/** Repositories whose mirrors are remembered. */
const mostMirrored = 1000;

/**
 * Starts a run's session. Nothing is connected to or made on disk before it is needed. `lasts`: it is a server's, and
 * has no end. Throws `usage`, `file`.
 */
export function openSession(job: JobContext, { lasts = false } = {}): Session {
  checkFlags(job.flags);
  const config = readConfig(job);
  const cache = openCache(job);
  const journal = uploadJournal(join(cache.recordsDir, "uploads"));
  const memory = uploadMemory(cache, job.emit);
  const budget = triesOfRun(undefined, lasts ? triesRenewedEvery : undefined);
  const registry = kept((host) => connect({ ...job, config, budget }, host));
  const mirrorsOf = kept((host) => openMirrors(job, config, host));
  const repository = (reference: Place): Repository =>
    registry(reference.host).repository(reference.repository);
  // Kept: what one reader finds out of a mirror, the next one knows.
  const mirroredByName = new Map<string, Repository>();
  const mirrored = (reference: Place): Repository => {
    const mirrors = mirrorsOf(reference.host);
    const origin = repository(reference);
    if (mirrors.length === 0) return origin;
    const known = mirroredByName.get(origin.fullName);
    if (known !== undefined) return known;
    const copies = mirrors.map((mirrorOf) => mirrorOf(reference.repository));
    const opened = mirroredRepository(origin, copies, job.emit);
    mirroredByName.set(origin.fullName, opened);
    dropOldest(mirroredByName, mostMirrored);
    return opened;
  };
  return {
    ...job,
    config,
    cache,
    tempDir: isNowhere(cache.root) ? systemTemp() : join(cache.root, "tmp"),
    registry,
    repository,
    mirrored,
    reader: (reference) => registryReader(mirrored(reference)),
    originReader: (reference) => registryReader(repository(reference)),
    writer: (reference) =>
      registryWriter(repository(reference), { emit: job.emit, journal, memory }),
  };
}

/** The mirrors of a registry, each as what it makes of a repository's name. */
const openMirrors = (
  job: JobContext,
  config: Config,
  host: string,
): ((repository: string) => Mirror)[] =>
  settingsOf(config, host)
    // One that all registries have is none of itself.
    .mirrors.filter((address) => !isSameRegistry(address.host, host) || address.prefix !== "")
    .map((address) => {
      const { name, prefix, tags } = address;
      const registry = connectMirror({ ...job, config }, address, host);
      const health = mirrorHealth(name, job.emit);
      return (repository) => ({
        name,
        health,
        tags,
        repository: registry.repository(prefix === "" ? repository : `${prefix}/${repository}`),
      });
    });

/** What was made once for a name. */
function kept<T>(make: (name: string) => T): (name: string) => T {
  const made = new Map<string, T>();
  return (name) => {
    const known = made.get(name);
    if (known !== undefined) return known;
    const value = make(name);
    made.set(name, value);
    return value;
  };
}
