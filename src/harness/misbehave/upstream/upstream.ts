import type { RegistryHandler } from "../../registry/routes/registry.ts";
import { Refusal, refusalResponse } from "../../registry/routes/refusal.ts";
import type { Route } from "../../registry/routes/route.ts";
import { routeOf } from "../../registry/auth/access.ts";
import { type Layer, writes } from "../../registry/auth/middleware.ts";
import { type Ask, upstreamClient } from "./upstream-client.ts";

type Content = Extract<Route, { resource: "blob" | "manifest" }>;

/**
 * Pull-through: what the registry lacks is fetched from another one, checked, kept and served; that one
 * is asked for tags each time, and what is here answers when it is out of reach. Nothing else may write.
 *
 * The registry inside must be one that takes manifests before their content (`sparse`).
 */
export function pullThrough(upstream: URL): Layer {
  const ask = upstreamClient(upstream);
  return (next) => {
    const underWay = new Map<string, Promise<Response | undefined>>();
    /** Fetches something once, however many ask for it. */
    const once = (key: string, fetching: () => Promise<Response | undefined>) => {
      const known = underWay.get(key);
      if (known !== undefined) return known;
      const started = fetching().finally(() => underWay.delete(key));
      underWay.set(key, started);
      return started;
    };
    return async (request) => {
      if (writes(request)) {
        return refusalResponse(
          new Refusal(
            405,
            { code: "DENIED", message: "a pull-through cache accepts no pushes" },
            { Allow: "GET, HEAD" },
          ),
          request.method,
        );
      }
      const route = routeOf(request);
      if (route?.resource !== "blob" && route?.resource !== "manifest") return await next(request);
      const path = new URL(request.url).pathname;
      const isTag = route.resource === "manifest" && !route.reference.includes(":");
      if (!isTag) {
        const here = await next(request);
        if (here.status !== 404) return here;
        // Whether it is there must not cost a whole blob.
        if (request.method === "HEAD" && route.resource === "blob") {
          return await describe(route, path, ask);
        }
      }
      const failed = await once(path, async () => await bring(route, path, ask, next));
      if (failed === undefined) return await next(request);
      // A tag that upstream can't be asked for is what it was the last time.
      const here = isTag && failed.status >= 500 ? await next(request) : undefined;
      return here?.ok === true ? here : failed.clone();
    };
  };
}

/**
 * Says of a blob what upstream says of it. In words of this registry's: upstream's challenge is not for who
 * asks here, and its connection is another.
 */
async function describe(
  route: Extract<Content, { resource: "blob" }>,
  path: string,
  ask: Ask,
): Promise<Response> {
  const response = await attempt(() => ask(path, "HEAD"));
  const length = response?.headers.get("Content-Length");
  if (response?.ok !== true) return refusedUpstream(response, route);
  return new Response(null, {
    headers: {
      "Content-Type": "application/octet-stream",
      "Docker-Content-Digest": route.digest,
      "Accept-Ranges": "bytes",
      ...(length == null ? {} : { "Content-Length": length }),
    },
  });
}

/** Fetches something and keeps it; resolves to what to answer where that failed. */
async function bring(
  route: Content,
  path: string,
  ask: Ask,
  next: RegistryHandler,
): Promise<Response | undefined> {
  const response = await attempt(() => ask(path, "GET"));
  if (response?.ok !== true) {
    await response?.body?.cancel();
    return refusedUpstream(response, route);
  }
  const local = "http://registry.invalid";
  const base = `${local}/v2/${route.repository}`;
  const kept =
    route.resource === "blob"
      ? await next(
          new Request(`${base}/blobs/uploads/?digest=${route.digest}`, {
            method: "POST",
            body: response.body,
            duplex: "half",
          } as RequestInit),
        )
      : await next(
          new Request(`${base}/manifests/${route.reference}`, {
            method: "PUT",
            headers: { "Content-Type": response.headers.get("Content-Type") ?? "" },
            body: response.body,
            duplex: "half",
          } as RequestInit),
        );
  await kept.body?.cancel();
  return kept.ok
    ? undefined
    : failure(502, route, `the content from upstream was rejected (${kept.status})`);
}

const refusedUpstream = (response: Response | undefined, route: Content): Response =>
  failure(
    response?.status === 404 ? 404 : 502,
    route,
    `upstream answered ${response?.status ?? "nothing"}`,
  );

const failure = (status: number, { resource }: Content, message: string): Response =>
  refusalResponse(
    new Refusal(status, {
      code:
        status === 404 ? (resource === "blob" ? "BLOB_UNKNOWN" : "MANIFEST_UNKNOWN") : "UNKNOWN",
      message,
    }),
    "GET",
  );

const attempt = (ask: () => Promise<Response>): Promise<Response | undefined> =>
  ask().catch(() => undefined);
