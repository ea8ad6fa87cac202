import { Buffer } from "node:buffer";
import * as v from "valibot";
import { OcibundleError } from "../errors.ts";
import {
  AnnotationsSchema,
  type Descriptor,
  DescriptorSchema,
  MediaTypeSchema,
} from "./descriptor.ts";
import { matchesDigest, shortDigest } from "./digest.ts";
import { parseDocument } from "./document.ts";
import { goObject } from "./go-object.ts";
import { parseIndexEntries, unreadableText } from "./index-entries.ts";
import { parseManifest } from "./manifest-sizes.ts";
import {
  ArtifactManifestSchema,
  type ImageIndex,
  ImageIndexSchema,
  type RawManifest,
} from "./manifest.ts";
import {
  essenceOf,
  isGenericType,
  isIndexType,
  isManifestType,
  isSchema1Type,
  mediaTypes,
} from "./media-types.ts";

/** Everything that a manifest of any kind names: what has to be there for it to be whole. */
export interface ManifestMembers {
  /** Of an index. */
  manifests: Descriptor[];
  config: Descriptor | undefined;
  /** Layers, or the blobs of an artifact manifest. */
  layers: Descriptor[];
  artifactType: string | undefined;
  /** Empty where it has none. */
  annotations: Record<string, string>;
}

const KindSchema = goObject({
  mediaType: v.optional(v.unknown()),
  config: v.optional(v.unknown()),
  layers: v.optional(v.unknown()),
  blobs: v.optional(v.unknown()),
  fsLayers: v.optional(v.unknown()),
  manifests: v.optional(v.unknown()),
});

/** A media type that tells something, as it is sent in a header; undefined for any other text. */
function telling(mediaType: unknown): string | undefined {
  if (typeof mediaType !== "string" || isGenericType(mediaType)) return undefined;
  const essence = essenceOf(mediaType);
  return v.is(MediaTypeSchema, essence) ? essence : undefined;
}

/**
 * What a manifest is: by its own word, else by what is said of it (a header, a descriptor), else by its
 * members (image-spec v1.1, manifest.md: `mediaType` was optional). Undefined where nothing tells.
 * Throws `file` for what is not JSON.
 */
export function manifestTypeOf(
  bytes: Uint8Array,
  said: string | undefined,
  on: string,
): string | undefined {
  const document = parseDocument(bytes, KindSchema, on);
  const byMembers = typeByMembers(document);
  const known = telling(document.mediaType) ?? telling(said) ?? byMembers;
  // Some registries say schema 1 of whatever does not say what it is.
  return known !== undefined && isSchema1Type(known) ? (byMembers ?? known) : known;
}

/** The media type that a manifest has as its own member, or undefined. Throws `file`. */
export const ownTypeOf = (bytes: Uint8Array, on: string): string | undefined =>
  telling(parseDocument(bytes, KindSchema, on).mediaType);

function typeByMembers(document: v.InferOutput<typeof KindSchema>): string | undefined {
  if (Array.isArray(document.fsLayers)) return schema1Type;
  if (Array.isArray(document.manifests)) return mediaTypes.ociIndex;
  if (Array.isArray(document.blobs)) return mediaTypes.ociArtifact;
  if (Array.isArray(document.layers) || isObject(document.config)) return mediaTypes.ociManifest;
  return undefined;
}

const schema1Type = "application/vnd.docker.distribution.manifest.v1+prettyjws";

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null;

/** Manifests of other kinds, by the members that are known to hold content. */
const AnyManifestSchema = goObject({
  artifactType: v.optional(v.string()),
  annotations: v.optional(AnnotationsSchema),
  config: v.optional(DescriptorSchema),
  layers: v.optional(v.array(DescriptorSchema)),
  blobs: v.optional(v.array(DescriptorSchema)),
  manifests: v.optional(v.array(DescriptorSchema)),
});

/**
 * Reads what a manifest names. One of a media type that is not known here is read by its members; `on`
 * names it in messages. Throws `file` for one that names nothing that could be found: its content
 * would be left behind. With `onUnreadable`, entries of an index that can't be read are left out, and it is told once
 * what is wrong with them.
 */
export function membersOf(
  raw: RawManifest,
  on: string,
  onUnreadable?: (text: string) => void,
): ManifestMembers {
  const { mediaType } = raw;
  if (isIndexType(mediaType)) {
    const index =
      onUnreadable === undefined
        ? parseManifest(raw, ImageIndexSchema, on)
        : readableEntries(raw, on, onUnreadable);
    const { manifests, artifactType, annotations = {} } = index;
    return { manifests, config: undefined, layers: [], artifactType, annotations };
  }
  if (isManifestType(mediaType)) {
    const {
      config,
      layers,
      artifactType,
      annotations = {},
    } = parseManifest(raw, ArtifactManifestSchema, on);
    return { manifests: [], config, layers, artifactType, annotations };
  }
  if (isSchema1Type(mediaType)) throw unsupported(on, mediaType);
  const {
    artifactType,
    annotations = {},
    config,
    layers,
    blobs,
    manifests,
  } = parseManifest(raw, AnyManifestSchema, on);
  if (!config && !layers && !blobs && !manifests) throw unsupported(on, mediaType);
  return {
    manifests: manifests ?? [],
    config,
    layers: [...(layers ?? []), ...(blobs ?? [])],
    artifactType,
    annotations,
  };
}

function readableEntries(
  raw: RawManifest,
  on: string,
  onUnreadable: (text: string) => void,
): ImageIndex {
  const { index, unreadable } = parseIndexEntries(raw, on);
  const text = unreadableText(unreadable);
  if (text !== undefined) onUnreadable(text);
  return index;
}

/** A manifest whose content can't be found. */
export const unsupported = (on: string, mediaType: string): OcibundleError =>
  new OcibundleError("file", `${on}: manifests of type "${mediaType}" are not supported`, {
    hint: isSchema1Type(mediaType)
      ? "pull and push the image with a current Docker, which converts it"
      : "a supported manifest lists config, layers, blobs or manifests",
  });

/**
 * Checks the content that a descriptor carries as `data` (image-spec v1.1, descriptor.md#embedded-content)
 * and returns it, or undefined where there is none. Throws `integrity` for other bytes than it describes.
 */
export function embeddedContent(descriptor: Descriptor, on: string): Uint8Array | undefined {
  const { data, digest, size } = descriptor;
  if (data === undefined || data === "") return undefined;
  const bytes = Buffer.from(data, "base64");
  if (bytes.byteLength === size && matchesDigest(bytes, digest)) return bytes;
  throw new OcibundleError(
    "integrity",
    `${on}: the "data" of ${shortDigest(digest)} does not have its digest and size`,
  );
}
