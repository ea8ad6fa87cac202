import type { RegistryHandler } from "../routes/registry.ts";

/** What is put around a registry: credentials, faults, the ways of a hosted one. */
export type Layer = (next: RegistryHandler) => RegistryHandler;

/** Puts layers around a registry; the first one sees a request first. */
export const layered = (registry: RegistryHandler, layers: readonly Layer[]): RegistryHandler =>
  layers.reduceRight((next, layer) => layer(next), registry);

/** A request like another, for another URL, with other headers or another body. */
export function changed(
  request: Request,
  change: { url?: URL; method?: string; headers?: Headers; body?: BodyInit | null },
): Request {
  const { url = request.url, method = request.method, headers = request.headers } = change;
  const body = change.body === undefined ? request.body : change.body;
  return new Request(url, {
    method,
    headers,
    body,
    signal: request.signal,
    // A stream as a body must be announced so (Fetch, RequestInit.duplex).
    ...(body instanceof ReadableStream ? { duplex: "half" } : {}),
  } as RequestInit);
}

/** Whether a request changes what the registry has. */
export const writes = ({ method }: Request): boolean =>
  method === "POST" || method === "PUT" || method === "PATCH" || method === "DELETE";
