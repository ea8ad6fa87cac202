import * as v from "valibot";
import { OcibundleError } from "../errors.ts";
import { AnnotationsSchema, DescriptorSchema } from "./descriptor.ts";
import { type Digest, isDigest } from "./digest.ts";
import { goObject, GoTextMapSchema } from "./go-object.ts";
import { platformEntries } from "./platform.ts";

/** A manifest or index as its bytes: what is digested, stored and sent; never re-serialised. */
export interface RawManifest {
  mediaType: string;
  digest: Digest;
  bytes: Uint8Array;
  /** Sizes in bytes, by digest, of what the document names without one. */
  sizes?: ReadonlyMap<string, number> | undefined;
}

/** Some writers leave the version out or have another one; nothing depends on it, in other programs neither. */
const SchemaVersionSchema = v.optional(
  v.pipe(v.number("must be a number"), v.integer("must be a whole number")),
);

/**
 * The manifest that another one is about. Only the digest tells which: some writers leave out the rest, and one
 * without a digest is about nothing.
 */
export const SubjectSchema = goObject({ digest: v.optional(v.string(), "") });

/** Which manifest another one is about; undefined for none. Throws `file` for a digest that is not known here. */
export function digestOfSubject(
  subject: { digest: string } | undefined,
  on: string,
): Digest | undefined {
  const { digest } = subject ?? { digest: "" };
  if (digest === "") return undefined;
  if (isDigest(digest)) return digest;
  throw new OcibundleError("file", `${on}: the digest of its subject is not valid`);
}

/** With members of both kinds a document would be read in two ways (CVE-2021-41190). */
const lacks = (document: object, ...names: string[]): boolean =>
  names.every((name) => {
    const value: unknown = Object.getOwnPropertyDescriptor(document, name)?.value;
    return value === undefined || value === null || (Array.isArray(value) && value.length === 0);
  });

const imageMembers = {
  schemaVersion: SchemaVersionSchema,
  mediaType: v.optional(v.string()),
  artifactType: v.optional(v.string()),
  layers: v.optional(v.array(DescriptorSchema), []),
  subject: v.optional(SubjectSchema),
  annotations: v.optional(AnnotationsSchema),
};

const isOfOneKind = (document: object): boolean => lacks(document, "manifests", "fsLayers");
const twoKinds = "has members of an image and of another kind of manifest";

/** image-spec v1.1, manifest.md; Docker's schema 2 has the same members. Unknown members are kept. */
export const ImageManifestSchema = v.pipe(
  goObject({ ...imageMembers, config: DescriptorSchema }),
  v.check((document) => isOfOneKind(document), twoKinds),
);

/** The same of an artifact, whose config may be null or absent. */
export const ArtifactManifestSchema = v.pipe(
  goObject({ ...imageMembers, config: v.optional(DescriptorSchema) }),
  v.check((document) => isOfOneKind(document), twoKinds),
);

/** A manifest with a config and layers: of an image, or of an artifact. */
export type ImageManifest = v.InferOutput<typeof ImageManifestSchema>;

const indexMembers = {
  schemaVersion: SchemaVersionSchema,
  mediaType: v.optional(v.string()),
  artifactType: v.optional(v.string()),
  subject: v.optional(SubjectSchema),
  annotations: v.optional(AnnotationsSchema),
};

const isIndexAlone = (document: object): boolean => lacks(document, "config", "layers", "fsLayers");
const notIndexAlone = "has members of an index and of another kind of manifest";

/** image-spec v1.1, image-index.md; Docker's manifest list has the same members. */
export const ImageIndexSchema = v.pipe(
  goObject({ ...indexMembers, manifests: v.optional(v.array(DescriptorSchema), []) }),
  v.check((document) => isIndexAlone(document), notIndexAlone),
);

/** The same with entries of any kind. */
export const AnyIndexSchema = v.pipe(
  goObject({ ...indexMembers, manifests: v.optional(v.array(v.unknown()), []) }),
  v.check((document) => isIndexAlone(document), notIndexAlone),
);

/** A list of manifests, one for each platform or part of a model. */
export type ImageIndex = v.InferOutput<typeof ImageIndexSchema>;

/** image-spec v1.1, config.md: only what is used here; the rest is kept. */
export const ImageConfigSchema = goObject({
  ...platformEntries,
  rootfs: v.optional(goObject({ diff_ids: v.optional(v.array(v.string()), []) })),
  config: v.optional(goObject({ Labels: v.optional(GoTextMapSchema) })),
});

/** What of an image's config is read here; the rest is kept as bytes. */
export type ImageConfig = v.InferOutput<typeof ImageConfigSchema>;
