import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import { parseIndexEntries } from "../../oci/index-entries.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { type ManifestMembers, membersOf } from "../../oci/manifest-members.ts";
import { essenceOf, isIndexType } from "../../oci/media-types.ts";
import { laterWeightsArtifactType } from "../format/annotations.ts";
import { isPartsManifest } from "../parts/parts-artifact.ts";
import { readChild } from "./read-child.ts";
import { passOver } from "./weights-of-index.ts";
import { findWeights, isLaterWeights } from "../format/model-index.ts";
import { isWeightsManifest } from "../format/weights-artifact.ts";

/**
 * The weights artifact behind a root: itself, or the one of an index. Throws `not_found` where there is
 * none, `usage` where there are several, `file` for weights in a format that is not read here. `onPassed` is told of
 * entries that can't be read, where others are marked as weights.
 */
export async function readWeights(
  reader: ContentReader,
  root: RawManifest,
  signal: AbortSignal,
  onPassed: (message: string) => void = () => {},
): Promise<RawManifest> {
  if (!isIndexType(root.mediaType)) {
    if (hasOnlyWeights(root, reader.name)) return root;
    throw withoutWeights(reader.name, membersOf(root, reader.name));
  }
  const listed = parseIndexEntries(root, reader.name);
  const { index } = listed;
  const entry = findWeights(index, reader.name);
  passOver(reader.name, listed, { isMarked: entry !== undefined, onPassed });
  if (entry !== undefined) return readChild(reader, entry, signal);
  throw withoutWeights(reader.name, index.manifests.find(isLaterWeights));
}

/** Whether a root is a weights artifact, beside which there is no image. Throws `file`. */
export const hasOnlyWeights = (root: RawManifest, on: string): boolean =>
  !isIndexType(root.mediaType) && isWeights(membersOf(root, on));

const isWeights = (members: ManifestMembers): boolean =>
  isWeightsManifest(members) || isPartsManifest(members);

function withoutWeights(
  name: string,
  found: { artifactType?: string | undefined } | undefined,
): OcibundleError {
  if (essenceOf(found?.artifactType ?? "") === laterWeightsArtifactType) {
    return new OcibundleError(
      "file",
      `${name}: its weights have the type "${laterWeightsArtifactType}" of a later Cog version, which a bundle cannot contain`,
      { hint: "pull them with `ocibundle pull`, and lock the files" },
    );
  }
  return new OcibundleError("not_found", `${name} has no weights`, {
    hint: "run `ocibundle inspect` to see its content",
  });
}
