import * as v from "valibot";
import { repositoryScope } from "../http/message/scope.ts";
import { parseDocument } from "../oci/document.ts";
import { goObject } from "../oci/go-object.ts";
import { type Api, apiUrl } from "./api.ts";
import { pages } from "./pages.ts";

/** distribution-spec v1.1, "Listing Tags". Some registries answer null for none; a list is no answer. */
const TagsSchema = goObject({ tags: v.optional(v.array(v.string())) });

/** The tags of a repository in the registry's order, a page at a time. Throws `not_found`. */
export async function* listTags(
  api: Api,
  repository: string,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  const thing = "list of tags";
  const list = pages(api, {
    method: "GET",
    url: apiUrl(api, `${repository}/tags/list`),
    headers: { accept: "application/json" },
    repository,
    scopes: [repositoryScope(repository, "pull")],
    accept: [200],
    thing,
    signal,
  });
  for await (const { bytes } of list) {
    const on = `${api.host}/${repository}: ${thing}`;
    yield* parseDocument(bytes, TagsSchema, on, "network").tags ?? [];
  }
}
