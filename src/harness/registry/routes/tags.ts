import { jsonResponse } from "./json-response.ts";
import { page, pageQuery } from "./page.ts";
import { Refusal } from "./refusal.ts";
import type { Registry, RegistryRequest, RouteTo } from "./request.ts";
import type { Storage } from "../storage/storage.ts";
import { compareTags } from "../storage/tag-links.ts";

/** `GET /v2/<name>/tags/list` (distribution-spec v1.1, listing tags). */
export async function listTags(
  { repository }: RouteTo<"tags">,
  { storage }: Registry,
  { url, query }: RegistryRequest,
): Promise<Response> {
  const asked = pageQuery(query);
  await requireRepository(storage, repository);
  const tags = await storage.tags.list(repository);
  const { entries, headers } = page(tags, asked, url.pathname, (tag) => tag, compareTags);
  return jsonResponse({ name: repository, tags: entries }, { headers });
}

/** Throws `NAME_UNKNOWN` for a repository that nothing was ever pushed to. */
async function requireRepository(storage: Storage, repository: string): Promise<void> {
  if (await storage.hasRepository(repository)) return;
  throw new Refusal(404, {
    code: "NAME_UNKNOWN",
    message: "the repository does not exist",
    detail: { name: repository },
  });
}
