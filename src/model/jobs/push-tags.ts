import { OcibundleError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { isTag } from "../../oci/reference.ts";
import type { AssembledModel } from "../graph/assemble.ts";

/** The tags beside that of the reference, each once. Throws `usage` for one that is none. */
export function furtherTags(tags: readonly string[]): string[] {
  const invalid = tags.find((tag) => !isTag(tag));
  if (invalid === undefined) return [...new Set(tags)];
  throw new OcibundleError("usage", `--tag "${invalid}" is not a valid tag`, {
    hint: "specify the reference first, and only the tag after -t: `ocibundle push REF -t TAG`",
  });
}

/** The tag that Cog gives the image of a model in its own format. */
export function cogImageTag(
  { cogEntries, image }: AssembledModel,
  rootTag: string,
): ReadonlyMap<Digest, string> {
  const [only, ...others] = image?.images ?? [];
  const tag = `cog-image.${rootTag}`;
  if (cogEntries === undefined || only === undefined || others.length > 0) return new Map();
  return new Map(isTag(tag) ? [[only.digest, tag]] : []);
}

/** The tag that the weights artifact gets below an index. Throws `usage`. */
export function weightsTag(
  { root, weights }: AssembledModel,
  tag: string | undefined,
  rootTag: string,
): ReadonlyMap<Digest, string> {
  if (tag === undefined) return new Map();
  const fail = (why: string, hint: string): never => {
    throw new OcibundleError("usage", `--tag-weights ${tag}: ${why}`, { hint });
  };
  if (!isTag(tag)) fail("not a tag", "use letters, digits, _ . and -, at most 128");
  if (tag === rootTag) fail("the model has the same tag", "choose another one");
  if (weights === undefined || weights.digest === root.digest) {
    return fail("the model has no index with a weights artifact", "remove it, or add an image");
  }
  return new Map([[weights.digest, tag]]);
}
