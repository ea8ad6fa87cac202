import { stat } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { isIP } from "node:net";
import { OcibundleError } from "../../errors.ts";
import { runtime } from "../../runtime/current.ts";
import { withinOpenFiles } from "../../runtime/open-files.ts";
import { laneStarter } from "../../runtime/worker-lanes.ts";
import { createWorkerPool } from "../../runtime/worker-pool.ts";
import { hostCheck, isLoopback, tokenCheck } from "../../serve/access.ts";
import { createHandler } from "../../serve/handle.ts";
import { createMetrics } from "../../serve/metrics.ts";
import { listen, type Listening } from "../../serve/server.ts";
import { createDownloader } from "../../transfer/download/download.ts";
import type { EmitEvent, TransferEvent } from "../../transfer/events.ts";
import { openScratch, sweepScratch } from "../pull/scratch-cache.ts";
import { type JobContext, openSession, type Session } from "../session/session.ts";
import { createBlobs, feedThreads, feedWorkers } from "./blobs.ts";
import { createPartsFetcher } from "./fetch-parts.ts";
import { parseCatalog } from "./catalog.ts";
import { hubEnvironment, runChild } from "./child.ts";
import { manifestMemory } from "./kept-manifests.ts";
import { checkLocal } from "./model-state.ts";
import { createModels } from "./models.ts";
import { openWrongFiles } from "./wrong-files.ts";
import { checkFlags, parseHostName, parseListen, readToken } from "./serve-flags.ts";

/** What `serve` is asked for. The configuration stands in for what is undefined; its maps and host names are added. */
export interface ServeRequest {
  /** `ID=REF` each. */
  map: readonly string[];
  /** `HOST[/PREFIX]`: all repositories below it are served. */
  registry: string | undefined;
  /** What the revision `main` stands for. */
  tag: string | undefined;
  /** `ADDRESS:PORT`. */
  listen: string | undefined;
  /** A file with the token that clients must send; else that of OCIBUNDLE_SERVE_TOKEN. */
  tokenFile: string | undefined;
  /** Allows an address besides loopback without a token. */
  anonymous: boolean;
  /** Names that clients may address the server by, besides its own address. */
  hostNames: readonly string[];
  /** How long a tag is believed, in milliseconds. */
  refresh: number;
  /** Whether the registry is not asked. */
  offline: boolean;
  /** The directory of dests that is the repository's root; the one that they share when undefined. */
  root: string | undefined;
  /** Whether files are kept in the cache; otherwise in a temporary directory. */
  useCache: boolean;
  /** Whether clients are told all ids. */
  list: boolean;
  /** A program to run and its arguments; the server ends with it. Empty for none. */
  command: readonly string[];
}

/** What `serve` tells when it listens; with `--json` part of the surface. */
export interface ServeReport {
  endpoint: string;
  pid: number;
}

const defaultListen = "127.0.0.1:8086";

/** How long answers that have begun may take once the server was told to end, in milliseconds. */
export const drainMilliseconds = 10_000;

/**
 * A client that sends no request, or takes nothing of an answer, is not waited for longer, in milliseconds. `waiting`:
 * how long it waits for its turn to have bytes of a file; it gives up after 10 s.
 */
const patience = { request: 30_000, reading: 60_000, waiting: 8000 };

const maxConnections = withinOpenFiles(1024, 2);
const maxBodies = withinOpenFiles(256, 2);

/**
 * Serves models of registries as the Hugging Face Hub does, until the job is aborted or the program that it
 * runs ends. Resolves to that program's exit code, or undefined. Throws `usage`, `file`, `conflict`, `system`.
 */
export async function serveModels(
  job: JobContext,
  request: ServeRequest,
  onListening: (report: ServeReport) => void,
): Promise<number | undefined> {
  checkFlags(request);
  // Ended later than the job: what is being sent is finished first.
  const ending = new AbortController();
  const given = openSession(
    { ...job, signal: ending.signal, emit: withoutProgress(job.emit) },
    { lasts: true },
  );
  const { serve: configured } = given.config;
  const catalog = parseCatalog({
    ...request,
    configured: configured.map,
    registry: request.registry ?? configured.registry,
    tag: request.tag ?? configured.tag,
  });
  if (request.list && catalog.ids.length === 0) {
    throw new OcibundleError("usage", "--list needs --map", {
      hint: "add --map ORG/MODEL=REF, or remove --list: the models of a registry are not listed",
    });
  }
  const { address, port } = parseListen(request.listen ?? configured.listen ?? defaultListen);
  const token = readToken(job, request.tokenFile ?? configured.tokenFile);
  const anonymous = request.anonymous || configured.anonymous === true;
  if (token === undefined && !anonymous && !isLoopback(address)) {
    throw new OcibundleError("usage", `anyone with access to ${address} could read these models`, {
      hint: "add --token-file FILE, or --anonymous to allow it",
    });
  }
  const hostNames = [
    ...request.hostNames.map((text) => parseHostName("--host-name", text)),
    ...configured.hostNames.map((text) => parseHostName("serve.hostNames", text)),
  ];
  const scratch = request.useCache ? undefined : await openScratch(tmpdir());
  await sweepScratch(tmpdir());
  const session: Session = scratch === undefined ? given : { ...given, cache: scratch.cache };
  const workers = createWorkerPool(feedWorkers, laneStarter(feedThreads));
  const partWorkers = createWorkerPool(withinOpenFiles(availableParallelism(), 8));
  const metrics = createMetrics();
  let server: Listening | undefined;
  try {
    const downloader = createDownloader({
      connections: session.flags.concurrency,
      ownConnection: true,
      workers,
      emit: session.emit,
    });
    const { offline, refresh, list } = request;
    if (!offline) await checkCache(session);
    const root = request.root ?? configured.root;
    const partsFetcher = createPartsFetcher({
      session,
      downloader,
      followers: workers,
      workers: partWorkers,
    });
    const keep = request.useCache;
    const wrongFiles = await openWrongFiles(session.cache, session.emit);
    const blobs = createBlobs({
      session,
      downloader,
      partsFetcher,
      wrongFiles,
      offline,
      keep,
      cachedShare: await runtime.cachedShare(),
    });
    const memory = manifestMemory(session.cache);
    for (const id of catalog.ids) {
      const place = catalog.find(id);
      if (place !== undefined) await checkLocal(place, session);
    }
    const models = createModels(catalog, blobs, { session, memory, root, refresh, offline });
    server = await listen({
      address,
      port,
      maxConnections,
      patience,
      handle: createHandler({
        source: models,
        list,
        metrics,
        isHost: hostCheck(address, hostNames),
        isAllowed: tokenCheck(token),
        maxBodies,
        reading: patience.reading,
        sending: patience.request,
        waiting: patience.waiting,
        connections: () => server?.connections() ?? 0,
        log: (message) => job.emit({ type: "detail", message }),
      }),
    });
    try {
      const endpoint = endpointOf(server);
      onListening({ endpoint, pid: process.pid });
      const [name, ...args] = request.command;
      if (name === undefined) {
        await aborted(job.signal);
        return undefined;
      }
      const { cwd, signal } = job;
      const env = hubEnvironment(job.env, endpoint, token);
      return await runChild({ command: [name, ...args], env, cwd, signal });
    } finally {
      await server.close(AbortSignal.timeout(drainMilliseconds));
      ending.abort(new OcibundleError("terminated", "the server is shutting down"));
      await blobs.settle();
      await models.close();
    }
  } finally {
    ending.abort();
    workers.close();
    partWorkers.close();
    await scratch?.remove();
  }
}

/**
 * Whether files can be fetched into the cache. What can't be written, and is there, is served from, with a warning;
 * throws where it is no directory, or none can be made: nothing could be served then.
 */
async function checkCache({ cache, emit }: Session): Promise<void> {
  try {
    await cache.discardTemp(await cache.tempPath("serve"));
  } catch (error) {
    const root = await stat(cache.root).catch(() => undefined);
    if (!(error instanceof OcibundleError) || root?.isDirectory() !== true) throw error;
    emit({ type: "warning", message: `${error.message}; only files that it has are served` });
  }
}

/** Items of progress would be counted for as long as the server lives: it tells of warnings and details only. */
const withoutProgress =
  (emit: EmitEvent): EmitEvent =>
  (event: TransferEvent) => {
    if (event.type === "warning" || event.type === "detail") emit(event);
  };

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((end) => {
    if (signal.aborted) end();
    signal.addEventListener("abort", () => end(), { once: true });
  });

/** Where clients of this machine reach a server. */
function endpointOf({ address, port }: Listening): string {
  const local = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address;
  return `http://${isIP(local) === 6 ? `[${local}]` : local}:${port}`;
}
