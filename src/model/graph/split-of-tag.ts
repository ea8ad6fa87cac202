import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import { readSmallBlob } from "../../store/small-blob.ts";
import { hasRecipe } from "../parts/parts-artifact.ts";
import { parseRecipe } from "../parts/recipe.ts";
import { type TreeNumbers, treeNumbersOf } from "../parts/tree.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { readWeights } from "./find-weights.ts";

/** The numbers that weights are split by; undefined where they are not. Throws as `readWeights`, and `file`. */
export async function numbersOfVersion(
  reader: ContentReader,
  root: RawManifest,
  signal: AbortSignal,
): Promise<TreeNumbers | undefined> {
  const weights = await readWeights(reader, root, signal);
  const { config } = membersOf(weights, reader.name);
  if (config === undefined || !hasRecipe({ config })) return undefined;
  const { split } = parseRecipe(await readSmallBlob(reader, config, signal), reader.name);
  return treeNumbersOf(split);
}

/**
 * The numbers that the weights under a tag are split by, so that the next version shares their parts; undefined
 * where there are none, or none that can be read. Throws the signal's reason alone.
 */
export async function numbersOfTag(
  reader: ContentReader,
  tag: string | undefined,
  signal: AbortSignal,
): Promise<TreeNumbers | undefined> {
  if (tag === undefined) return undefined;
  try {
    return await numbersOfVersion(reader, await reader.readManifest(tag, signal), signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof OcibundleError) return undefined;
    throw error;
  }
}
