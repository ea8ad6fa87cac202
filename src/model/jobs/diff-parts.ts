import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import { isManifestType } from "../../oci/media-types.ts";
import { isWeightsManifest, parseWeightsManifest } from "../format/weights-artifact.ts";
import { partsOfPlain } from "../layout/recipe-files.ts";
import type { Digest } from "../../oci/digest.ts";
import type { PartsDiff } from "../../report/diff.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import { allWeights } from "../graph/summary.ts";
import { usedParts, wholePart } from "../parts/file-plan.ts";
import { lockPartsOf } from "../parts/lock-parts.ts";
import type { StoredPart } from "../parts/parts-artifact.ts";
import type { Loaded } from "../places/load-model.ts";

/** The parts of files that are put together from several, by the digests that the files are said to have. */
export type SplitFiles = ReadonlyMap<Digest, readonly StoredPart[]>;

/** The files of a model or lock that are in parts. Throws `file` for a lock whose parts are not what they should be. */
export function splitFilesOf(loaded: Loaded): SplitFiles {
  const found = new Map<Digest, readonly StoredPart[]>();
  if (loaded.kind === "lock") {
    for (const entry of loaded.files) {
      const parts = lockPartsOf(entry, loaded.name)?.parts;
      if (parts !== undefined) found.set(entry.digestOriginal, parts);
    }
    return found;
  }
  for (const { parts: artifact } of loaded.foreign.values()) {
    for (const file of artifact?.recipe.files ?? []) {
      if (artifact === undefined || wholePart(file, artifact) !== undefined) continue;
      found.set(file.digest, usedParts(file, artifact).used);
    }
  }
  return found;
}

/**
 * The plain files of a model whose recipe lists parts, by their digests: a node that has some of these fetches the
 * others by ranges. Throws what a recipe can't be fetched for.
 */
export async function plainFilesInParts(
  loaded: Loaded,
  { signal, emit }: { signal: AbortSignal; emit: EmitEvent },
): Promise<SplitFiles> {
  const found = new Map<Digest, readonly StoredPart[]>();
  if (loaded.kind === "lock") return found;
  const { reader, graph, name } = loaded;
  for (const raw of [graph.root, ...graph.children]) {
    if (!isManifestType(raw.mediaType) || !isWeightsManifest(membersOf(raw, name))) continue;
    const entries = parseWeightsManifest(raw, name);
    const recipe = await recipeOfPlain(reader, { raw, entries }, { signal, emit });
    for (const { name: file, digest, digestOriginal } of entries) {
      const parts = recipe.get(file)?.parts;
      // Of what is stored compressed no range is a part.
      if (parts !== undefined && digest === digestOriginal) found.set(digestOriginal, parts);
    }
  }
  return found;
}

/** One that can't be read is as good as none, as for a pull; there is a warning. */
async function recipeOfPlain(
  reader: ContentReader,
  weights: Parameters<typeof partsOfPlain>[1],
  { signal, emit }: { signal: AbortSignal; emit: EmitEvent },
): ReturnType<typeof partsOfPlain> {
  try {
    return await partsOfPlain(reader, weights, signal);
  } catch (error) {
    signal.throwIfAborted();
    const isKnown = error instanceof OcibundleError;
    if (!isKnown || error.code === "network" || error.code === "denied") throw error;
    emit({ type: "warning", message: `${error.message}: files count as a whole` });
    return new Map();
  }
}

/**
 * How large each file is as it is stored, by the digest of the file itself: nodes keep files as they are, so that one
 * that is stored in another way now is not fetched again. In bytes; of a file in parts, its own size.
 */
export function storedSizesOf(loaded: Loaded): Map<Digest, number> {
  const sizes = new Map<Digest, number>();
  const files = loaded.kind === "lock" ? loaded.files : (allWeights(loaded.summary) ?? []);
  for (const { digestOriginal, size } of files) {
    // Of two ways to store the same, `pull` fetches the first.
    if (!sizes.has(digestOriginal)) sizes.set(digestOriginal, size);
  }
  if (loaded.kind === "lock") return sizes;
  for (const { parts: artifact } of loaded.foreign.values()) {
    for (const file of artifact?.recipe.files ?? []) {
      const part = artifact === undefined ? undefined : wholePart(file, artifact);
      if (part !== undefined) sizes.set(file.digest, part.stored.size);
    }
  }
  return sizes;
}

/**
 * Which parts a node that has `before` lacks of `after`; null where that has no file in parts. Of files in
 * `before` that are not in parts only those count that are a part as they are.
 */
export function diffParts(
  before: { split: SplitFiles; files: ReadonlySet<Digest> },
  after: SplitFiles,
): PartsDiff | null {
  if (after.size === 0) return null;
  const there = new Set<Digest>(before.files);
  for (const parts of before.split.values()) for (const { digest } of parts) there.add(digest);
  const all = new Map<Digest, StoredPart>();
  const missing = new Map<Digest, StoredPart>();
  for (const [file, parts] of after) {
    const has = before.files.has(file);
    for (const part of parts) {
      all.set(part.digest, part);
      if (!has && !there.has(part.digest)) missing.set(part.digest, part);
    }
  }
  return { total: amountOf(all), missing: amountOf(missing) };
}

const amountOf = (parts: ReadonlyMap<Digest, StoredPart>) => ({
  blobs: parts.size,
  bytes: [...parts.values()].reduce((sum, { stored }) => sum + stored.size, 0),
});
