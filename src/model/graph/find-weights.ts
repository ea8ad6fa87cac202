import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import { parseDocument } from "../../oci/document.ts";
import { ImageIndexSchema, ImageManifestSchema, type RawManifest } from "../../oci/manifest.ts";
import { isIndexType, isManifestType } from "../../oci/media-types.ts";
import { weightsArtifactType } from "../format/annotations.ts";
import { readChild } from "./content-graph.ts";
import { findWeights } from "../format/model-index.ts";

/** The weights artifact behind a root: itself, or the one of an index. Throws `not_found`. */
export async function readWeights(
  reader: ContentReader,
  root: RawManifest,
  signal: AbortSignal,
): Promise<RawManifest> {
  if (!isIndexType(root.mediaType)) {
    if (hasOnlyWeights(root, reader.name)) return root;
    throw withoutWeights(reader.name);
  }
  const index = parseDocument(root.bytes, ImageIndexSchema, reader.name);
  const entry = findWeights(index, reader.name);
  if (entry !== undefined) return readChild(reader, entry, signal);
  throw withoutWeights(reader.name);
}

/** Whether a root is a weights artifact, beside which there is no image. Throws `file`. */
export function hasOnlyWeights(root: RawManifest, on: string): boolean {
  if (!isManifestType(root.mediaType)) return false;
  const { artifactType } = parseDocument(root.bytes, ImageManifestSchema, on);
  return artifactType === weightsArtifactType;
}

const withoutWeights = (name: string): OcibundleError =>
  new OcibundleError("not_found", `${name} has no weights`, {
    hint: "`ocibundle inspect` shows what it has",
  });
