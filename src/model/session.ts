import { join } from "node:path";
import { findCredential } from "../credentials/find.ts";
import type { ContentReader, ContentWriter } from "../oci/content.ts";
import type { Reference } from "../oci/reference.ts";
import { registryReader } from "../registry/reader.ts";
import { createRegistry } from "../registry/registry.ts";
import type { Registry, Repository } from "../registry/types.ts";
import { type Cache, openCache } from "../store/cache/cache.ts";
import type { EmitEvent } from "../transfer/events.ts";
import { registryWriter } from "../transfer/registry-writer.ts";
import { uploadJournal } from "../transfer/upload/upload-journal.ts";

/** What every job is given by the command that starts it. A command's context has this shape. */
export interface JobContext {
  env: Readonly<Record<string, string | undefined>>;
  /** The working folder, absolute. */
  cwd: string;
  signal: AbortSignal;
  emit: EmitEvent;
  flags: {
    concurrency: number | undefined;
    plainHttp: boolean;
    insecure: boolean;
    caFile: string | undefined;
    certFile: string | undefined;
    keyFile: string | undefined;
  };
}

/** The connections and stores of one run: one client a registry, so that tokens and limits are shared. */
export interface Session extends JobContext {
  cache: Cache;
  /** Where temporary files go, on the cache's file system. */
  tempDir: string;
  registry(host: string): Registry;
  repository(reference: Pick<Reference, "host" | "repository">): Repository;
  reader(reference: Pick<Reference, "host" | "repository">): ContentReader;
  /** Uploads that an earlier run left unfinished are gone on with. */
  writer(reference: Pick<Reference, "host" | "repository">): ContentWriter;
}

/** What is kept to log in to a registry with. */
type Found = Awaited<ReturnType<typeof findCredential>>;

/** A client for one registry, set up as the run is. `onLogin` is told what it is logged in with, when it asks. */
export const connect = (
  { flags, env, emit }: JobContext,
  host: string,
  onLogin?: (credential: Found) => void,
): Registry =>
  createRegistry(host, {
    ...flags,
    env,
    emit,
    async credentials(credentialHost, repository) {
      const found = await findCredential(credentialHost, repository, env);
      onLogin?.(found);
      return found;
    },
  });

/** Starts a run's session. Nothing is connected to or made on disk before it is needed. */
export function openSession(job: JobContext): Session {
  const cache = openCache(job.env);
  const journal = uploadJournal(join(cache.recordsDir, "uploads"));
  const registries = new Map<string, Registry>();
  const registry = (host: string): Registry => {
    const known = registries.get(host);
    if (known !== undefined) return known;
    const opened = connect(job, host);
    registries.set(host, opened);
    return opened;
  };
  const repository = (reference: Pick<Reference, "host" | "repository">): Repository =>
    registry(reference.host).repository(reference.repository);
  return {
    ...job,
    cache,
    tempDir: join(cache.root, "tmp"),
    registry,
    repository,
    reader: (reference) => registryReader(repository(reference)),
    writer: (reference) => registryWriter(repository(reference), { emit: job.emit, journal }),
  };
}
