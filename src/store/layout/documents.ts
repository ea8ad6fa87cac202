import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import {
  type Digest,
  digestAlgorithm,
  digestHex,
  isDigest,
  shortDigest,
} from "../../oci/digest.ts";
import { parseDocument } from "../../oci/document.ts";
import { goObject } from "../../oci/go-object.ts";
import { parseIndexEntries, type UnreadableEntry } from "../../oci/index-entries.ts";
import type { ImageIndex, RawManifest } from "../../oci/manifest.ts";
import { isGenericType, isIndexType, isManifestType, mediaTypes } from "../../oci/media-types.ts";
import { isKnownPlatform } from "../../oci/platform.ts";
import { isAttachmentTag } from "../../oci/referrers-tag.ts";

/** Names and documents of an OCI image layout (image-spec v1.1, image-layout.md). */
export const layoutFileName = "oci-layout";
/** The list of the manifests of a layout. */
export const indexFileName = "index.json";

/** The annotation of an `index.json` entry that holds its tag (image-spec v1.1, annotations.md). */
const refNameKey = "org.opencontainers.image.ref.name";

/** The content of `oci-layout`: the version of the format that is written. */
export const layoutFileBytes = new TextEncoder().encode('{"imageLayoutVersion":"1.0.0"}');

/** Where a layout keeps a blob, with `/` between the parts. */
export const blobPath = (digest: Digest): string =>
  `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;

const LayoutFileSchema = goObject({ imageLayoutVersion: v.string() });

/** Checks the marker file of a layout. Throws `file` for a version that is not known here. */
export function checkLayoutFile(bytes: Uint8Array, name: string): void {
  const on = `${name}: ${layoutFileName}`;
  const { imageLayoutVersion } = parseDocument(bytes, LayoutFileSchema, on);
  if (!/^1\.\d+\.\d+$/.test(imageLayoutVersion)) {
    throw new OcibundleError("file", `${on}: version "${imageLayoutVersion}" is not supported`, {
      hint: "use an image layout of version 1",
    });
  }
}

/** What `index.json` lists besides: entries that can't be read, which stay in it as they are. */
const unreadableKey = Symbol("unreadable");

/** `index.json`: the entries that can be read, since layouts may list anything (image-spec v1.1, image-layout.md). */
export type LayoutIndex = ImageIndex & {
  readonly [unreadableKey]?: readonly UnreadableEntry[] | undefined;
};

/** The `index.json` of a layout without manifests. */
export const emptyIndex = (): LayoutIndex => ({
  schemaVersion: 2,
  mediaType: mediaTypes.ociIndex,
  manifests: [],
});

/** Reads `index.json`. Throws `file` for what is none; `name` is the layout in messages. */
export function parseLayoutIndex(bytes: Uint8Array, name: string): LayoutIndex {
  const { index, unreadable } = parseIndexEntries(bytes, `${name}: ${indexFileName}`);
  return unreadable.length === 0 ? index : { ...index, [unreadableKey]: unreadable };
}

/** `index.json` as it is written. */
export function formatLayoutIndex(index: LayoutIndex): string {
  const unreadable = index[unreadableKey] ?? [];
  const manifests = [...index.manifests, ...unreadable.map(({ value }) => value)];
  const { schemaVersion: _, ...members } = index;
  return JSON.stringify({ schemaVersion: 2, ...members, manifests });
}

/** The tag that an entry of `index.json` has, from its annotation. */
export const tagOf = (entry: Descriptor): string | undefined => entry.annotations?.[refNameKey];

/** Where Docker and containerd keep an image's whole name: two images of one tag have different ones. */
const imageNameKey = "io.containerd.image.name";

/**
 * The entry that a tag or an image's whole name (`docker.io/acme/app:v1`) names, or without a tag the only one there
 * is: of those with a tag, if any has one, since what refers to an image (a signature) is listed beside it without
 * one, or with one made of the image's digest.
 *
 * `name` is that of the layout, for messages. Throws `not_found`, `usage` where a tag is needed, and `file` where
 * entries can't be read and no other is the one.
 */
export function findEntry(index: LayoutIndex, tag: string | undefined, name: string): Descriptor {
  const tagged = index.manifests.filter((entry) => tagOf(entry) !== undefined);
  const images = tagged.filter((entry) => !isAttachmentTag(tagOf(entry) ?? ""));
  const entries =
    tag !== undefined
      ? named(index, tag)
      : ([images, tagged].find(({ length }) => length > 0) ?? chosen(index));
  const [entry] = entries;
  const [unreadable] = index[unreadableKey] ?? [];
  if (entry === undefined && unreadable !== undefined) {
    const on = `${name}: ${tag === undefined ? "no image" : `no tag "${tag}"`}`;
    throw new OcibundleError(
      "file",
      `${on} can be found: ${indexFileName} has entries that cannot be read: ${unreadable.why}`,
      { hint: choices(index) },
    );
  }
  if (entry === undefined) {
    throw new OcibundleError(
      "not_found",
      tag === undefined ? `${name}: the layout is empty` : `${name}: no tag "${tag}"`,
      { hint: choices(index) },
    );
  }
  if (entries.some((other) => other.digest !== entry.digest)) {
    throw tag === undefined
      ? new OcibundleError("usage", `${name}: ${entries.length} images, but no tag was specified`, {
          hint: choices(index),
        })
      : new OcibundleError("usage", `${name}: ${entries.length} images have the tag "${tag}"`, {
          hint: choices({ ...index, manifests: entries }),
        });
  }
  return entry;
}

/** Without tags: manifests and indexes of what runs, if there are any; an index.json may list anything. */
function chosen({ manifests }: ImageIndex): Descriptor[] {
  const readable = manifests.filter(
    ({ mediaType }) =>
      isIndexType(mediaType) || isManifestType(mediaType) || isGenericType(mediaType),
  );
  const images = readable.filter(
    ({ platform, artifactType }) =>
      artifactType === undefined && (platform === undefined || isKnownPlatform(platform)),
  );
  return images.length > 0 ? images : readable.length > 0 ? readable : manifests;
}

function named({ manifests }: ImageIndex, tag: string): Descriptor[] {
  const tagged = manifests.filter((entry) => tagOf(entry) === tag);
  if (tagged.length > 0) return tagged;
  if (isDigest(tag)) return manifests.filter((entry) => entry.digest === tag);
  return manifests.filter((entry) => {
    const image = entry.annotations?.[imageNameKey];
    return image === tag || image === `docker.io/${tag}` || image === `docker.io/library/${tag}`;
  });
}

/** What can be asked for, for a hint: tags, and whole names or digests where a tag is that of several images. */
function choices({ manifests }: ImageIndex): string | undefined {
  if (manifests.length === 0) return undefined;
  const tags = manifests.map((entry) => tagOf(entry));
  const shown = manifests.slice(0, 10).map((entry) => {
    const tag = tagOf(entry);
    const isTaken = tags.filter((other) => other === tag).length > 1;
    const wanted = isTaken
      ? (entry.annotations?.[imageNameKey] ?? entry.digest)
      : (tag ?? entry.digest);
    return `"${wanted}"`;
  });
  const areTags = shown.every((text) => !isDigest(text.slice(1, -1)));
  return areTags
    ? `use one of the tags ${shown.join(", ")}`
    : `use one of them, as in oci:DIR@DIGEST: ${shown.join(", ")}`;
}

/**
 * An `index.json` with a further manifest listed. A tag moves to it from whichever entry had it; and
 * untagged entries for what it lists itself go, since they can be reached through it. Everything else
 * is kept as it was.
 */
export function withManifest(
  index: LayoutIndex,
  manifest: RawManifest,
  tag: string | undefined,
): LayoutIndex {
  const children = childDigests(manifest);
  const isListed = (entry: Descriptor): boolean => entry.digest === manifest.digest;
  const kept = index.manifests.filter((entry) => {
    const entryTag = tagOf(entry);
    if (entryTag === undefined) {
      return !children.has(entry.digest) && (tag === undefined || !isListed(entry));
    }
    return entryTag !== tag || isListed(entry);
  });
  if (kept.some((entry) => isListed(entry) && (tag === undefined || tagOf(entry) === tag))) {
    return { ...index, manifests: kept };
  }
  const { artifactType } = artifactTypeOf(manifest);
  const entry: Descriptor = {
    mediaType: manifest.mediaType,
    ...(artifactType === undefined ? {} : { artifactType }),
    digest: manifest.digest,
    size: manifest.bytes.byteLength,
    ...(tag === undefined ? {} : { annotations: { [refNameKey]: tag } }),
  };
  return { ...index, manifests: [...kept, entry] };
}

/** What an index lists; nothing for any other manifest. */
export function childDigests(manifest: RawManifest): ReadonlySet<Digest> {
  if (!isIndexType(manifest.mediaType)) return new Set();
  const on = `index ${shortDigest(manifest.digest)}`;
  const { index } = parseIndexEntries(manifest, on);
  return new Set(index.manifests.map((entry) => entry.digest));
}

const ArtifactTypeSchema = goObject({ artifactType: v.optional(v.string()) });

const artifactTypeOf = (manifest: RawManifest) =>
  parseDocument(manifest.bytes, ArtifactTypeSchema, `manifest ${shortDigest(manifest.digest)}`);
