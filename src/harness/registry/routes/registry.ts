import { errno, OcibundleError, causesOf } from "../../../errors.ts";
import { deleteBlob, getBlob } from "./blobs.ts";
import { listRepositories } from "./catalog.ts";
import { deleteManifest, getManifest, putManifest } from "./manifests.ts";
import { jsonResponse } from "./json-response.ts";
import { listReferrers } from "./referrers.ts";
import { Refusal, refusalResponse } from "./refusal.ts";
import type { Answer, RegistryRequest, Registry } from "./request.ts";
import { parseRoute, type Route } from "./route.ts";
import { openStorage } from "../storage/storage.ts";
import { listTags } from "./tags.ts";
import { appendUpload, cancelUpload, finishUpload, startUpload, uploadStatus } from "./uploads.ts";

/** The registry: an HTTP handler that others (credentials, faults, an idle timer) can be put around. */
export type RegistryHandler = (request: Request) => Promise<Response>;

/** Where a registry keeps its content, and how it departs from the specification. */
export interface RegistryOptions {
  /** The directory where everything is kept; made where it is missing. */
  storage: string;
  /** The shortest chunk but the last, in bytes: told as `OCI-Chunk-Min-Length`. None unless given. */
  minChunkLength?: number | undefined;
  /** Whether manifests are taken before what they name is there, as a pull-through cache needs it. */
  sparse?: boolean | undefined;
}

/**
 * A registry as of distribution-spec v1.1: pull, push, content discovery and content management, for any
 * number of repositories. What it kept is there again when the same directory is opened later.
 *
 * Throws `file` when the storage can't be used. The handler itself never rejects.
 */
export async function createEmbeddedRegistry(options: RegistryOptions): Promise<RegistryHandler> {
  const registry: Registry = {
    storage: await openStorage(options.storage),
    minChunkLength: options.minChunkLength,
    sparse: options.sparse ?? false,
  };
  return async (request) => {
    try {
      const url = new URL(request.url);
      return await answer(registry, { request, url, query: url.searchParams });
    } catch (error) {
      return refusalResponse(asRefusal(error), request.method);
    }
  };
}

function answer(registry: Registry, request: RegistryRequest): Promise<Response> {
  const route = parseRoute(request.url.pathname);
  if (route === undefined) {
    throw new Refusal(404, { code: "UNSUPPORTED", message: "the endpoint does not exist" });
  }
  const methods = answersTo(route);
  const method = request.request.method;
  const found = Object.hasOwn(methods, method) ? methods[method] : undefined;
  if (found !== undefined) return found(registry, request);
  throw new Refusal(
    405,
    { code: "UNSUPPORTED", message: `this endpoint does not support ${method}` },
    { Allow: Object.keys(methods).join(", ") },
  );
}

const get = (found: Answer): Record<string, Answer> => ({ GET: found, HEAD: found });

/** What can be done with a resource, by method. */
function answersTo(route: Route): Readonly<Record<string, Answer>> {
  switch (route.resource) {
    case "base":
      return get(() => Promise.resolve(jsonResponse({})));
    case "catalog":
      return get(listRepositories);
    case "tags":
      return get((...to) => listTags(route, ...to));
    case "referrers":
      return get((...to) => listReferrers(route, ...to));
    case "blob":
      return {
        ...get((...to) => getBlob(route, ...to)),
        DELETE: (registry) => deleteBlob(route, registry),
      };
    case "manifest":
      return {
        ...get((...to) => getManifest(route, ...to)),
        PUT: (...to) => putManifest(route, ...to),
        DELETE: (registry) => deleteManifest(route, registry),
      };
    case "uploads":
      return { POST: (...to) => startUpload(route, ...to) };
    case "upload":
      return {
        ...get((registry) => uploadStatus(route, registry)),
        PATCH: (...to) => appendUpload(route, ...to),
        PUT: (...to) => finishUpload(route, ...to),
        DELETE: (registry) => cancelUpload(route, registry),
      };
  }
}

const fullDisk: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT"]);

/** The errno name of an error, or of what caused it. */
function deepErrno(error: unknown): string | undefined {
  for (const at of causesOf(error)) {
    const code = errno(at);
    // An error of ours has a code of another kind.
    if (code !== undefined && !(at instanceof OcibundleError)) return code;
  }
  return undefined;
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const code = deepErrno(error);
  if (code === "ENAMETOOLONG") {
    return new Refusal(400, { code: "NAME_INVALID", message: "the name is too long to be stored" });
  }
  if (code !== undefined && fullDisk.has(code)) {
    return new Refusal(507, { code: "UNKNOWN", message: "the registry's disk is full" });
  }
  return new Refusal(500, {
    code: "UNKNOWN",
    message: error instanceof Error ? error.message : "the registry failed",
  });
}
