import { OcibundleError } from "../../errors.ts";
import { runtime } from "../../runtime/current.ts";
import { digestOf } from "../../oci/digest.ts";
import { layerTypes, quoted, type WeightEntry, plainEntry } from "../format/weight-entry.ts";
import type { WeightsContents } from "../graph/manifest-contents.ts";
import { type FilePlan, planFile, wholePart } from "../parts/file-plan.ts";
import { asItIs, type PartsArtifact } from "../parts/parts-artifact.ts";
import type { Recipe, RecipeFile } from "../parts/recipe.ts";

/**
 * The files of weights each of which is a blob, or is put together from parts: then `plans` gets how. Throws
 * `integrity` for a file that can't have the digest that is said of it.
 */
export function listFiles(
  { entries, parts, recipe }: WeightsContents,
  plans: Map<WeightEntry, FilePlan>,
  on: string,
): WeightEntry[] {
  if (recipe !== undefined) addPlans(entries, recipe, plans);
  if (parts === undefined) return entries;
  return parts.recipe.files.map((file) => {
    const whole = wholeFile(file, parts, on);
    if (whole !== undefined) return whole;
    const entry = plainEntry(file);
    plans.set(entry, planFile(file, parts));
    if (file.segments.length >= manySegments) runtime.collectGarbage();
    return entry;
  });
}

/** From so many segments on, memory is cleared after their places were worked out. */
const manySegments = 20_000;

/** How files that are blobs, stored as they are, can be made of parts that lie elsewhere and ranges of the blob. */
function addPlans(
  entries: readonly WeightEntry[],
  recipe: Recipe,
  plans: Map<WeightEntry, FilePlan>,
): void {
  const files = new Map(recipe.files.map((file) => [file.name, file]));
  const parts = recipe.parts.map(asItIs);
  for (const entry of entries) {
    const file = files.get(entry.name);
    const { digest, digestOriginal, size } = entry;
    if (file === undefined || digest !== digestOriginal || file.digest !== digest) continue;
    if (file.size !== size || file.segments.length < 2) continue;
    const plan = planFile(file, { recipe, parts });
    if (plan.parts.some(({ once }) => once === undefined)) continue;
    plans.set(entry, { ...plan, blob: { mediaType: entry.mediaType, digest, size } });
  }
}

/** A file that is one part, stored as a plain artifact stores files: its digest is proven by the part. */
function wholeFile(file: RecipeFile, artifact: PartsArtifact, on: string): WeightEntry | undefined {
  const part = wholePart(file, artifact);
  const proven = part?.digest ?? (file.size === 0 ? digestOf("") : undefined);
  if (proven !== undefined && proven !== file.digest) {
    throw new OcibundleError(
      "integrity",
      `${on}: recipe: file ${quoted(file.name)} has the digest ${file.digest}, and its only part has another`,
    );
  }
  if (part === undefined || part.encoding === "bp2.zstd" || part.encoding === "bp4.zstd") {
    return undefined;
  }
  const { name, dest } = file;
  const { digest, size, encoding, stored } = part;
  return {
    name,
    dest,
    digestOriginal: digest,
    digest: stored.digest as WeightEntry["digest"],
    size: stored.size,
    sizeUncompressed: size,
    mediaType: layerTypes[encoding],
  };
}
