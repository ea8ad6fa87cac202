import { maxManifestBytes } from "../../../oci/document.ts";
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

/** Refuses manifests with more than so many layers. */
export const layersAtMost =
  (most: number): Layer =>
  (next) =>
  async (request) => {
    if (routeOf(request)?.resource !== "manifest" || request.method !== "PUT") {
      return await next(request);
    }
    const { head, body } = await begin(request);
    const count = countLayers(head);
    if (count > most) {
      const said = `the manifest has ${count} layers; at most ${most} are allowed`;
      // The body was taken in already.
      return await refuse(new Request(request.url), 400, "MANIFEST_INVALID", said);
    }
    const { url, method, headers, signal } = request;
    return await next(new Request(url, { method, headers, body, signal }));
  };

/** The first bytes of a body, as many as a manifest may have, and the whole body again. */
async function begin(
  request: Request,
): Promise<{ head: Uint8Array; body: ReadableStream<Uint8Array> }> {
  const reader = request.body?.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (size <= maxManifestBytes) {
    const { value } = (await reader?.read()) ?? {};
    if (value === undefined) break;
    chunks.push(value);
    size += value.byteLength;
  }
  const head = Buffer.concat(chunks);
  const isWhole = size <= maxManifestBytes;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      if (size > 0) controller.enqueue(head);
      if (isWhole) controller.close();
    },
    async pull(controller) {
      const { value } = (await reader?.read()) ?? {};
      if (value === undefined) controller.close();
      else controller.enqueue(value);
    },
    async cancel(reason) {
      await reader?.cancel(reason);
    },
  });
  return { head: isWhole ? head : new Uint8Array(0), body };
}

function countLayers(bytes: Uint8Array): number {
  try {
    const { layers } = JSON.parse(new TextDecoder().decode(bytes)) as { layers?: unknown };
    return Array.isArray(layers) ? layers.length : 0;
  } catch {
    return 0;
  }
}

const dockerTypes = "application/vnd.docker.distribution.manifest.";

/** Answers 415 to a manifest of Docker's types. */
export const ociManifestsOnly: Layer = (next) => async (request) =>
  routeOf(request)?.resource === "manifest" &&
  request.method === "PUT" &&
  request.headers.get("Content-Type")?.startsWith(dockerTypes) === true
    ? await refuse(request, 415, "MANIFEST_INVALID", "Docker media types are not supported")
    : await next(request);
