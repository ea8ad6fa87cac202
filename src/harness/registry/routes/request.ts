import type { Route } from "./route.ts";
import type { Storage } from "../storage/storage.ts";

/** What every resource works on. */
export interface Registry {
  storage: Storage;
  minChunkLength: number | undefined;
  /** Whether manifests may name what is not there. */
  sparse: boolean;
}

/** A request with its URL read. */
export interface RegistryRequest {
  request: Request;
  url: URL;
  query: URLSearchParams;
}

/** How a method of a resource is answered. Throws Refusal. */
export type Answer = (registry: Registry, request: RegistryRequest) => Promise<Response>;

/** The route of one kind of resource. */
export type RouteTo<Resource extends Route["resource"]> = Extract<Route, { resource: Resource }>;

/** A response without a body. */
export const empty = (status: number, headers: Record<string, string>): Response =>
  new Response(null, { status, headers: { "Content-Length": "0", ...headers } });
