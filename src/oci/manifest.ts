import * as v from "valibot";
import { AnnotationsSchema, DescriptorSchema, MediaTypeSchema } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import { PlatformSchema } from "./platform.ts";

/** A manifest or index as its bytes: what is digested, stored and sent; never re-serialised. */
export interface RawManifest {
  mediaType: string;
  digest: Digest;
  bytes: Uint8Array;
}

/** image-spec v1.1, manifest.md; Docker's schema 2 has the same members. Unknown members are kept. */
export const ImageManifestSchema = v.looseObject({
  schemaVersion: v.literal(2, "must be 2"),
  mediaType: v.optional(MediaTypeSchema),
  artifactType: v.optional(v.string()),
  config: DescriptorSchema,
  layers: v.array(DescriptorSchema),
  subject: v.optional(DescriptorSchema),
  annotations: v.optional(AnnotationsSchema),
});

export type ImageManifest = v.InferOutput<typeof ImageManifestSchema>;

/** image-spec v1.1, image-index.md; Docker's manifest list has the same members. */
export const ImageIndexSchema = v.looseObject({
  schemaVersion: v.literal(2, "must be 2"),
  mediaType: v.optional(MediaTypeSchema),
  artifactType: v.optional(v.string()),
  manifests: v.array(DescriptorSchema),
  subject: v.optional(DescriptorSchema),
  annotations: v.optional(AnnotationsSchema),
});

export type ImageIndex = v.InferOutput<typeof ImageIndexSchema>;

/** image-spec v1.1, config.md: only what is used here; the rest is kept. */
export const ImageConfigSchema = v.looseObject({
  ...PlatformSchema.entries,
  rootfs: v.looseObject({ type: v.string(), diff_ids: v.array(v.string()) }),
  config: v.nullish(v.looseObject({ Labels: v.nullish(v.record(v.string(), v.string())) })),
});

export type ImageConfig = v.InferOutput<typeof ImageConfigSchema>;
