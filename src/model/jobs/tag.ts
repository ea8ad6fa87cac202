import { OcibundleError, withContext } from "../../errors.ts";
import {
  formatReference,
  formatRepository,
  isTag,
  pinned,
  referenceTarget,
} from "../../oci/reference.ts";
import type { Reference } from "../../oci/reference.ts";
import { parseRegistryPlace } from "../places/registry-place.ts";
import { type JobContext, openSession } from "../session/session.ts";
import type { TagResult } from "../../report/tag.ts";

/**
 * Sets tags on a manifest in its repository. The manifest keeps its bytes. Throws `usage` before anything is
 * asked, `not_found`, `denied`, `network`.
 */
export async function setTags(
  job: JobContext,
  request: { source: string; tags: readonly string[]; dryRun: boolean },
): Promise<TagResult> {
  const { reference } = parseRegistryPlace(request.source, "tag");
  const names = [...new Set(request.tags.map((text) => parseTag(text, reference)))];
  const session = openSession(job);
  const { signal } = session;
  const repository = session.repository(reference);
  const manifest = await repository.getManifest(referenceTarget(reference), signal);
  const { digest, mediaType } = manifest;
  const tags: TagResult["tags"] = [];
  for (const tag of names) {
    const before = (await repository.headManifest(tag, signal))?.digest ?? null;
    const outcome = before === null ? "created" : before === digest ? "unchanged" : "moved";
    tags.push({ tag, outcome, before });
  }
  if (!request.dryRun) {
    const done: string[] = [];
    for (const { tag, outcome } of tags) {
      if (outcome === "unchanged") continue;
      try {
        await repository.putManifest(tag, manifest, signal);
      } catch (error) {
        const set = done.length === 0 ? "" : ` (set before: ${done.join(", ")})`;
        throw withContext(`tag "${tag}"${set}`, error);
      }
      done.push(tag);
    }
  }
  return {
    action: request.dryRun ? "would-tag" : "tagged",
    reference: pinned(reference, digest),
    digest,
    mediaType,
    tags,
  };
}

/** A tag by itself, or as a whole reference to the same repository. Throws `usage`. */
function parseTag(text: string, source: Reference): string {
  if (isTag(text)) return text;
  if (!text.includes("/")) {
    throw new OcibundleError("usage", `${JSON.stringify(text)} is not a tag`, {
      hint: "a tag has at most 128 letters, digits, _ . and -, and does not start with . or -",
    });
  }
  const { reference, tag } = parseRegistryPlace(text, "tag");
  if (formatRepository(reference) !== formatRepository(source)) {
    throw new OcibundleError(
      "usage",
      `"${text}" is in another repository than ${formatReference(source)}`,
      { hint: `run \`ocibundle copy ${formatReference(source)} ${text}\`` },
    );
  }
  if (tag === undefined || reference.digest !== undefined) {
    throw new OcibundleError("usage", `"${text}" has no tag to set`, {
      hint: "use a tag such as v2 or registry.example.com/acme/llama:v2",
    });
  }
  return tag;
}
