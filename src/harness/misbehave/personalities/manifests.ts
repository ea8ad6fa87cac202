import { routeOf } from "../../registry/auth/access.ts";
import type { Layer } from "../../registry/auth/middleware.ts";
import type { RegistryHandler } from "../../registry/routes/registry.ts";
import { refuse } from "./answers.ts";

/** Drops the manifest that a tag pointed to when the tag moves and no other tag points to it. */
export const dropsMovedManifests: Layer = (next) => async (request) => {
  const route = routeOf(request);
  if (route?.resource !== "manifest" || request.method !== "PUT" || route.reference.includes(":")) {
    return await next(request);
  }
  const { repository, reference } = route;
  const ask = (path: string, method = "GET"): Promise<Response> =>
    next(new Request(new URL(`/v2/${repository}/${path}`, request.url), { method }));
  const before = await digestOfTag(ask, reference);
  const response = await next(request);
  const now = response.headers.get("Docker-Content-Digest") ?? undefined;
  if (before === undefined || !response.ok || before === now) return response;
  const { tags } = (await (await ask("tags/list")).json()) as { tags: string[] };
  for (const tag of tags) if ((await digestOfTag(ask, tag)) === before) return response;
  await ask(`manifests/${before}`, "DELETE");
  return response;
};

async function digestOfTag(
  ask: (path: string, method: string) => ReturnType<RegistryHandler>,
  tag: string,
): Promise<string | undefined> {
  const { ok, headers } = await ask(`manifests/${tag}`, "HEAD");
  return ok ? (headers.get("Docker-Content-Digest") ?? undefined) : undefined;
}

const dockerTypes = "application/vnd.docker.distribution.manifest.";

/** Answers 415 to a manifest of Docker's types. */
export const ociManifestsOnly: Layer = (next) => async (request) =>
  routeOf(request)?.resource === "manifest" &&
  request.method === "PUT" &&
  request.headers.get("Content-Type")?.startsWith(dockerTypes) === true
    ? await refuse(request, 415, "MANIFEST_INVALID", "manifests of Docker's types are not taken")
    : await next(request);
