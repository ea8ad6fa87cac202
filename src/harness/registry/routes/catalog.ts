import { jsonResponse } from "./json-response.ts";
import { page, pageQuery } from "./page.ts";
import type { Registry, RegistryRequest } from "./request.ts";

/** `GET /v2/_catalog`: not of the spec, but what tools know. All names, or `n` of them after `last`. */
export async function listRepositories(
  { storage }: Registry,
  { url, query }: RegistryRequest,
): Promise<Response> {
  const names = await storage.repositoryNames();
  const { entries, headers } = page(
    names,
    pageQuery(query),
    url.pathname,
    (name) => name,
    (a, b) => (a < b ? -1 : Number(a > b)),
  );
  return jsonResponse({ repositories: entries }, { headers });
}
