import type { FindCredential } from "../http/auth/credential.ts";
import { knownSecrets } from "../http/auth/secrets.ts";
import {
  certificates,
  type CertificateOptions,
  certificateDirectoriesOf,
  hasDockerCertificates,
} from "../http/certificates.ts";
import { createClient } from "../http/client.ts";
import { isLoopback } from "../http/message/loopback.ts";
import type { EmitHttpEvent } from "../http/message/message.ts";
import type { Environment } from "../http/proxy.ts";
import { type RetryBudget, retryBudget } from "../retry/budget.ts";
import type { Clock } from "../retry/clock.ts";
import { defaultHost } from "../oci/reference.ts";
import { runtime } from "../runtime/current.ts";
import { versionNumber } from "../version.ts";
import { type Api, apiUrl, command } from "./api.ts";
import { ask } from "./ask.ts";
import { getBlob, headBlob } from "./blobs.ts";
import { resolveLocation } from "./location.ts";
import { listRepositories } from "./catalog.ts";
import { deleteManifest } from "./delete.ts";
import { getManifest, headManifest } from "./manifests.ts";
import { putManifest } from "./put-manifest.ts";
import { keepReferrersTag, listReferrers } from "./referrers.ts";
import { listTags } from "./tags.ts";
import type { Registry, Repository } from "./types.ts";
import { postBlob, startUpload, uploadSession } from "./uploads.ts";

/**
 * Failed attempts that a run may have, for all its registries together; with 0 every failure is final. A server may
 * have them again every so many milliseconds.
 */
export const triesOfRun = (allowed?: number, renewedEvery?: number): RetryBudget =>
  retryBudget(allowed, renewedEvery);

/** How a registry is reached; by default anonymously, over HTTPS, and over HTTP on loopback. */
export interface RegistryOptions extends CertificateOptions {
  /** http in place of https. On loopback http is used anyway, unless TLS was set up. */
  plainHttp?: boolean | undefined;
  /** https on loopback too. */
  https?: boolean | undefined;
  /** The registry that this one stands in for, which mirrors of many are told with each request. */
  ns?: string | undefined;
  /** Sent with every request to it, names in lower case. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** Asked for each repository, after the registry has asked who is there; the answer is believed for minutes. */
  credentials?: FindCredential | undefined;
  /** Where HTTP_PROXY and its like are looked up. */
  env?: Environment | undefined;
  emit?: EmitHttpEvent | undefined;
  clock?: Clock | undefined;
  /** Failed attempts that all registries of a run share; a budget of its own unless given. */
  budget?: RetryBudget | undefined;
  /** Connecting and waiting for the first byte of an answer, in milliseconds. */
  firstByteTimeout?: number | undefined;
  /** The longest pause of a body, in milliseconds. */
  idleTimeout?: number | undefined;
  /** What ending an upload may take at least, in milliseconds. */
  finishTimeout?: number | undefined;
}

/** Hosts that serve the API under another name than people write. */
const wireHosts: Readonly<Record<string, string>> = {
  [defaultHost]: "registry-1.docker.io",
};

/**
 * A client for one registry (distribution-spec v1.1). Makes no request by itself. `host` is as in a
 * {@link Reference}. Keep one for a run: tokens and what was seen of the registry live in it.
 */
export function createRegistry(host: string, options: RegistryOptions = {}): Registry {
  const base = new URL(`${scheme(host, options)}://${wireHost(host)}/v2/`);
  if (options.insecure === true && base.protocol === "https:") {
    options.emit?.({ type: "warning", message: `${host}: TLS certificates are not verified` });
  }
  const secrets = knownSecrets();
  const send = createClient({
    host,
    secrets,
    url: base,
    plainHttp: options.plainHttp ?? false,
    userAgent: `ocibundle/${versionNumber()}`,
    env: options.env ?? {},
    connection: (wanted) => runtime.connection(wanted),
    pausesTls: runtime.pausesTls,
    tls: certificates(
      { certificateDirectories: certificateDirectoriesOf(host, options.env ?? {}), ...options },
      base,
      {
        env: options.env ?? {},
        warn: (message) => options.emit?.({ type: "warning", message }),
      },
    ),
    credentials: options.credentials ?? (() => Promise.resolve(undefined)),
    emit: options.emit ?? (() => undefined),
    clock: options.clock,
    budget: options.budget,
    headers: options.headers,
    firstByteTimeout: options.firstByteTimeout,
    idleTimeout: options.idleTimeout,
  });
  const { ns, finishTimeout } = options;
  const api: Api = {
    host,
    base,
    send,
    strike: secrets.strike,
    codings: new Map(),
    ns,
    finishTimeout,
  };
  const registry: Registry = {
    host,
    origin: base.origin,
    async ping(signal) {
      await command(api, {
        method: "GET",
        url: apiUrl(api, ""),
        scopes: [],
        accept: [200],
        thing: "the registry API",
        signal,
      });
    },
    repository: (name) => repositoryOf(registry, api, name),
    listRepositories: (signal) => listRepositories(api, signal),
    ask: (question, signal) => ask(api, question, signal),
  };
  return registry;
}

const wireHost = (host: string): string =>
  (Object.hasOwn(wireHosts, host) ? wireHosts[host] : undefined) ?? host;

function scheme(host: string, options: RegistryOptions): "http" | "https" {
  if (options.plainHttp === true) return "http";
  if (options.https === true || !isLoopback(host)) return "https";
  const tls =
    options.insecure === true ||
    options.caFile !== undefined ||
    options.certFile !== undefined ||
    hasDockerCertificates(host, options.env ?? {});
  return tls ? "https" : "http";
}

function repositoryOf(registry: Registry, api: Api, name: string): Repository {
  const fullName = `${api.host}/${name}`;
  return {
    registry,
    name,
    fullName,
    headManifest: (tagOrDigest, signal) => headManifest(api, name, tagOrDigest, signal),
    getManifest: (tagOrDigest, signal) => getManifest(api, name, tagOrDigest, signal),
    async putManifest(tagOrDigest, manifest, signal) {
      const answer = await putManifest(api, name, tagOrDigest, manifest, signal);
      await keepReferrersTag(api, name, manifest, answer, signal);
    },
    deleteManifest: (tagOrDigest, signal) => deleteManifest(api, name, tagOrDigest, signal),
    headBlob: (digest, signal, expected) => headBlob(api, name, digest, signal, expected),
    getBlob: (descriptor, range, signal) => getBlob(api, name, descriptor, range, signal),
    startUpload: (options, signal) => startUpload(api, name, options, signal),
    postBlob: (digest, body, signal) => postBlob(api, name, digest, body, signal),
    resumeUpload: (location) =>
      uploadSession(api, name, resolveLocation(location, api.base, fullName), undefined),
    listTags: (signal) => listTags(api, name, signal),
    listReferrers: (digest, artifactType, signal, onPassed) =>
      listReferrers(api, name, digest, artifactType, signal, onPassed),
  };
}
