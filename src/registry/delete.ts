import { OcibundleError } from "../errors.ts";
import { repositoryScope } from "../http/message/scope.ts";
import { isDigest } from "../oci/digest.ts";
import { type Api, command } from "./api.ts";
import { headManifest, manifestThing, manifestUrl } from "./manifests.ts";
import { refusalOf } from "./refusal.ts";
import type { DeleteOutcome } from "./types.ts";

/** What registries answer that delete nothing, or no tag: 404 is also what some say to an unknown route. */
const unsupportedStatuses: ReadonlySet<number> = new Set([400, 404, 405, 501]);

/**
 * Deletes a manifest by its digest, with all its tags, or a tag by its name (distribution-spec v1.1,
 * "Content Management"). Whoever asks for a tag must see afterwards that others are still there. Throws
 * `denied`, `network`; a registry that does not delete is an answer.
 */
export async function deleteManifest(
  api: Api,
  repository: string,
  tagOrDigest: string,
  signal: AbortSignal,
): Promise<DeleteOutcome> {
  try {
    await command(api, {
      method: "DELETE",
      url: manifestUrl(api, repository, tagOrDigest),
      repository,
      scopes: [repositoryScope(repository, "pull", "delete")],
      accept: [200, 202, 204],
      thing: manifestThing(tagOrDigest),
      signal,
    });
    return "deleted";
  } catch (error) {
    const refusal = refusalOf(error);
    if (!(error instanceof OcibundleError) || refusal === undefined) throw error;
    const unsupported =
      unsupportedStatuses.has(refusal.status) || refusal.codes.includes("UNSUPPORTED");
    if (!unsupported) throw error;
    if (refusal.status === 404) {
      const there = await headManifest(api, repository, tagOrDigest, signal);
      if (there === undefined) return "absent";
    }
    const what = isDigest(tagOrDigest) ? "manifests" : "tags";
    return { unsupported: `the registry does not delete ${what} (${refusal.message})` };
  }
}
