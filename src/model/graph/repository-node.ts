import * as v from "valibot";
import { AnnotationsSchema, type Descriptor } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import { parseDocument } from "../../oci/document.ts";
import { parseManifest } from "../../oci/manifest-sizes.ts";
import { goObject } from "../../oci/go-object.ts";
import {
  digestOfSubject,
  ArtifactManifestSchema,
  type RawManifest,
  SubjectSchema,
} from "../../oci/manifest.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import { isImageConfigType, isIndexType, isManifestType } from "../../oci/media-types.ts";
import { isPartsManifest } from "../parts/parts-artifact.ts";
import { recognise } from "../format/artifact/recognise.ts";
import { emptyConfig, isWeightsManifest } from "../format/weights-artifact.ts";
import type { NodeKind } from "../../report/ls.ts";

/** What is kept of one manifest of a repository: small, since a repository may have thousands. */
export interface RepositoryNode {
  digest: Digest;
  mediaType: string;
  /** Of the manifest itself, in bytes. */
  size: number;
  artifactType: string | null;
  kind: NodeKind;
  /** Of weights: the format they are stored in (docs/artifacts.md). */
  format: string | null;
  /** Manifests that it lists. */
  children: Digest[];
  /** What it refers to, as a signature does. */
  subject: Digest | null;
  /** Config and layers with their sizes in bytes. */
  blobs: ReadonlyMap<Digest, number>;
  /** Where its date is, if it has none of its own: the config of an image. */
  config: Descriptor | null;
  created: Date | null;
}

const MoreSchema = goObject({
  subject: v.optional(SubjectSchema),
  annotations: v.optional(AnnotationsSchema),
});

/**
 * Dates before this one are what reproducible builds write in place of a date: 0001, 1970, 1980. No image is
 * older than Docker.
 */
const oldestDate = Date.UTC(2010, 0, 1);

/** A date as documents have it, or null for none and for one that is only a placeholder. */
export function parseDate(text: string | undefined): Date | null {
  const milliseconds = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(milliseconds) || milliseconds < oldestDate ? null : new Date(milliseconds);
}

/** Reads what a manifest names. Throws `file` for one that can't be read. */
export function nodeOf(raw: RawManifest, on: string): RepositoryNode {
  const { manifests, config, layers, artifactType } = membersOf(raw, on);
  const { subject: said, annotations } = parseDocument(raw.bytes, MoreSchema, on);
  const subject = digestOfSubject(said, on);
  const named = config === undefined ? layers : [config, ...layers];
  const isImage = config !== undefined && isImageConfigType(config.mediaType);
  return {
    digest: raw.digest,
    mediaType: raw.mediaType,
    size: raw.bytes.byteLength,
    artifactType: artifactType ?? null,
    ...kindOf(raw, on, { isImage, artifactType, isReferrer: subject !== undefined }),
    children: [...new Set(manifests.map(({ digest }) => digest))],
    subject: subject ?? null,
    blobs: new Map(named.map(({ digest, size }) => [digest, size])),
    config: isImage ? config : null,
    created: parseDate(annotations?.["org.opencontainers.image.created"]),
  };
}

/** A bundle is found to be one once the manifests that its index lists are known. */
function kindOf(
  raw: RawManifest,
  on: string,
  is: { isImage: boolean; artifactType: string | undefined; isReferrer: boolean },
): Pick<RepositoryNode, "kind" | "format"> {
  if (isIndexType(raw.mediaType)) return { kind: "index", format: null };
  if (isManifestType(raw.mediaType)) {
    // An artifact may have no config.
    const { config = emptyConfig, ...rest } = parseManifest(raw, ArtifactManifestSchema, on);
    const manifest = { ...rest, config };
    if (isWeightsManifest(manifest)) return { kind: "weights", format: "bundle" };
    if (isPartsManifest(manifest)) return { kind: "weights", format: "parts" };
    const format = recognise(manifest)?.name;
    // What is attached to a manifest has titles as well, and is no model.
    const isOther = format === "image" || (format === "generic" && is.isReferrer);
    if (format !== undefined && !isOther) return { kind: "weights", format };
  }
  const isPlain = is.isImage && (is.artifactType ?? "") === "";
  return { kind: isPlain ? "image" : "artifact", format: null };
}
