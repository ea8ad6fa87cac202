/** Media types of the OCI image spec (image-spec v1.1, media-types.md) and of Docker's schema 2. */
export const mediaTypes = {
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  ociEmpty: "application/vnd.oci.empty.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar",
  ociLayerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  ociLayerZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerManifestList: "application/vnd.docker.distribution.manifest.list.v2+json",
  /** Of image-spec v1.1.0-rc2 and rc3 only: its content is listed as `blobs`. */
  ociArtifact: "application/vnd.oci.artifact.manifest.v1+json",
} as const;

/** A media type as it is compared: without parameters, in lower case (RFC 9110, section 8.3.1). */
export const essenceOf = (mediaType: string): string =>
  (mediaType.split(";", 1)[0] ?? "").trim().toLowerCase();

const indexTypes: ReadonlySet<string> = new Set([
  mediaTypes.ociIndex,
  mediaTypes.dockerManifestList,
]);
const manifestTypes: ReadonlySet<string> = new Set([
  mediaTypes.ociManifest,
  mediaTypes.dockerManifest,
]);

/** Whether documents of this media type list other manifests. */
export const isIndexType = (mediaType: string): boolean => indexTypes.has(essenceOf(mediaType));

/** Whether documents of this media type have a config and layers. */
export const isManifestType = (mediaType: string): boolean =>
  manifestTypes.has(essenceOf(mediaType));

/** Docker's manifests of schema 1, signed or not: they name layers without sizes. */
export const isSchema1Type = (mediaType: string): boolean =>
  /^application\/vnd\.docker\.distribution\.manifest\.v1\+(?:json|prettyjws)$/.test(
    essenceOf(mediaType),
  );

const genericTypes: ReadonlySet<string> = new Set([
  "",
  "application/json",
  "application/octet-stream",
  "binary/octet-stream",
  "text/html",
  "text/json",
  "text/plain",
]);

/** Whether this is what servers and tools say of any document: it tells nothing. */
export const isGenericType = (mediaType: string): boolean => genericTypes.has(essenceOf(mediaType));

/** Whether a config of this media type is that of something that runs. */
export const isImageConfigType = (mediaType: string): boolean =>
  essenceOf(mediaType) === mediaTypes.ociConfig || essenceOf(mediaType) === mediaTypes.dockerConfig;

/** Layers that only their owner may hand out, and that a registry need not have (image-spec v1.1, layer.md). */
export const isForeignLayerType = (mediaType: string): boolean =>
  /\.(?:nondistributable|foreign)\./.test(essenceOf(mediaType));

/** The `Accept` header of a manifest request: everything that is read here. */
export const acceptManifests = [...manifestTypes, ...indexTypes, mediaTypes.ociArtifact].join(", ");
