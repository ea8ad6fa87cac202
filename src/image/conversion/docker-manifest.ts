import * as v from "valibot";
import { recordOf } from "../../oci/open-schemas.ts";
import { OcibundleError } from "../../errors.ts";
import { DescriptorSchema } from "../../oci/descriptor.ts";
import { type Digest, DigestSchema, digestOf, isDigest, shortDigest } from "../../oci/digest.ts";
import { parseDocument } from "../../oci/document.ts";
import { goObject } from "../../oci/go-object.ts";
import { formatReference, parseReference, type Reference } from "../../oci/reference.ts";

/** `manifest.json` of what `docker save` and its like write: an entry an image. Other members are not used. */
const DockerImageSchema = v.object({
  Config: v.pipe(v.string(), v.nonEmpty()),
  RepoTags: v.nullish(v.array(v.string())),
  Layers: v.nullish(v.array(v.pipe(v.string(), v.nonEmpty()))),
  /** Layers that are to be fetched elsewhere (Windows), by diff ID. */
  LayerSources: v.nullish(recordOf(v.string(), DescriptorSchema)),
});

const DockerManifestSchema = v.array(DockerImageSchema);

/** One image of a Docker archive: the names of its config and layers in the archive. */
export type DockerImage = v.InferOutput<typeof DockerImageSchema>;

/** The list of the images of a Docker archive. */
export const dockerManifestName = "manifest.json";

/** Reads `manifest.json`; `on` names the archive. Throws `file`. */
export const parseDockerManifest = (bytes: Uint8Array, on: string): DockerImage[] =>
  parseDocument(bytes, DockerManifestSchema, `${on}: ${dockerManifestName}`);

/**
 * The image that has a name, or without one the only image there is. Where several have the name, it is
 * the last one's, as it is after `docker load`.
 * Throws `not_found`, and `usage` where a name is needed.
 */
export function chooseDockerImage(
  images: readonly DockerImage[],
  reference: Reference | undefined,
  on: string,
): DockerImage {
  const tags = images.flatMap((image) => image.RepoTags ?? []);
  const hint =
    tags.length === 0 ? "its images have no names" : `use one of ${tags.slice(0, 10).join(", ")}`;
  if (reference !== undefined) {
    const wanted = formatReference(reference);
    const image = images.findLast(({ RepoTags }) =>
      RepoTags?.some((tag) => normalized(tag) === wanted),
    );
    if (image !== undefined) return image;
    throw new OcibundleError("not_found", `${on}: no image "${wanted}"`, { hint });
  }
  const [image] = images;
  if (image === undefined) throw new OcibundleError("not_found", `${on}: no image`);
  if (images.every((other) => isSame(image, other))) return image;
  throw new OcibundleError("usage", `${on}: ${images.length} images, but no name was specified`, {
    hint,
  });
}

/** Some writers list an image once for each of its names. */
const isSame = (one: DockerImage, other: DockerImage): boolean =>
  one.Config === other.Config &&
  JSON.stringify(one.Layers ?? []) === JSON.stringify(other.Layers ?? []);

function normalized(tag: string): string | undefined {
  try {
    return formatReference(parseReference(tag));
  } catch {
    // A name that nobody can ask for.
    return undefined;
  }
}

const RootFsSchema = goObject({
  rootfs: v.optional(goObject({ diff_ids: v.optional(v.array(DigestSchema), []) })),
});

/** The diff IDs of an image's layers, by its config. Throws `file`. */
export const configDiffIds = (config: Uint8Array, on: string): Digest[] =>
  parseDocument(config, RootFsSchema, `${on}: image config`).rootfs?.diff_ids ?? [];

/** Throws `integrity` when `manifest.json` and the config count different layers. */
export function checkLayerCount(
  files: readonly string[],
  diffIds: readonly Digest[],
  on: string,
): void {
  if (files.length === diffIds.length) return;
  throw new OcibundleError(
    "integrity",
    `${on}: manifest.json lists ${files.length} layers, but the image config lists ${diffIds.length}`,
  );
}

/**
 * Checks a config's bytes against its name, where that has a digest in it: `<hex>.json`, `blobs/sha256/<hex>`.
 * Throws `integrity`.
 */
export function checkConfigName(name: string, config: Uint8Array, on: string): void {
  const hex = /(?:^|\/)([0-9a-f]{64})(?:\.json)?$/.exec(name)?.[1];
  const named = `sha256:${hex}`;
  if (hex === undefined || !isDigest(named) || digestOf(config) === named) return;
  throw new OcibundleError(
    "integrity",
    `${on}: the config "${name}" does not have the digest ${shortDigest(named)}`,
  );
}
