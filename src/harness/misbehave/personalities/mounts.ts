import { routeOf } from "../../registry/auth/access.ts";
import { changed, type Layer } from "../../registry/auth/middleware.ts";
import type { RegistryHandler } from "../../registry/routes/registry.ts";
import { refuse } from "./answers.ts";

/** What a request that asks for a mount asks. */
interface Mount {
  digest: string;
  from: string | undefined;
}

function mountOf(request: Request): Mount | undefined {
  if (request.method !== "POST") return undefined;
  const query = new URL(request.url).searchParams;
  const digest = query.get("mount");
  return digest === null ? undefined : { digest, from: query.get("from") ?? undefined };
}

/** The same request as one for an upload: "202 is a normal session". */
function withoutMount(request: Request, next: RegistryHandler): Promise<Response> {
  const url = new URL(request.url);
  url.searchParams.delete("mount");
  url.searchParams.delete("from");
  return next(changed(request, { url }));
}

/** Refuses to mount. */
export const noMounts: Layer = (next) => async (request) =>
  mountOf(request) === undefined
    ? await next(request)
    : await refuse(request, 405, "UNSUPPORTED", "mounting blobs is not supported");

/** Fails on a mount that does not say where from. */
export const mountsNeedFrom: Layer = (next) => async (request) => {
  const mount = mountOf(request);
  return mount === undefined || mount.from !== undefined
    ? await next(request)
    : await refuse(request, 400, "NAME_INVALID", "a mount needs a source repository (from)");
};

/** Fails on a mount out of another registry, as `ghcr.io/acme/llama`. */
export const mountsFromHereOnly: Layer = (next) => async (request) =>
  /^[^/]*[.:][^/]*\//.test(mountOf(request)?.from ?? "")
    ? await refuse(request, 400, "NAME_INVALID", "the source repository is in another registry")
    : await next(request);

/** Mounts only blobs that a manifest of the other repository names; the others become uploads. */
export function mountsOfReferencedBlobs(): Layer {
  const named = new Map<string, Set<string>>();
  return (next) => async (request) => {
    const mount = mountOf(request);
    if (mount !== undefined) {
      const known = mount.from !== undefined && named.get(mount.from)?.has(mount.digest) === true;
      return known ? await next(request) : await withoutMount(request, next);
    }
    const route = routeOf(request);
    const response = await next(request);
    if (route?.resource !== "manifest" || request.method !== "PUT" || !response.ok) return response;
    // Read where it is kept: what a client sends may have no end.
    const digest = response.headers.get("Docker-Content-Digest") ?? "";
    const path = `/v2/${route.repository}/manifests/${digest}`;
    const kept = await next(new Request(new URL(path, request.url)));
    const digests = named.get(route.repository) ?? new Set();
    for (const [, one = ""] of (await kept.text()).matchAll(/"(sha(?:256|512):[0-9a-f]+)"/g)) {
      digests.add(one);
    }
    named.set(route.repository, digests);
    return response;
  };
}
