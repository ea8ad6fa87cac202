import * as v from "valibot";
import { DigestSchema } from "./digest.ts";
import { goObject, GoTextMapSchema } from "./go-object.ts";
import { PlatformSchema } from "./platform.ts";

/** A size in bytes. Larger than 2^53 - 1 can't be counted exactly and is refused. */
export const SizeSchema = v.pipe(
  v.number("must be a number of bytes"),
  v.safeInteger("must be a whole number of bytes below 2^53"),
  v.minValue(0, "must not be negative"),
);

/** A media type without parameters, as a header may carry it. */
export const MediaTypeSchema = v.pipe(
  v.string(),
  v.regex(
    /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*$/,
    "must be a media type",
  ),
);

/** Annotations as Go reads them, because the registries do. */
export const AnnotationsSchema = GoTextMapSchema;

/**
 * image-spec v1.1, descriptor.md. Unknown members are kept. A media type may be any text, with parameters
 * or empty, since tools write what they were told (`text/plain; charset=utf-8`).
 */
export const DescriptorSchema = goObject({
  mediaType: v.optional(v.string(), ""),
  digest: DigestSchema,
  size: SizeSchema,
  artifactType: v.optional(v.string()),
  annotations: v.optional(AnnotationsSchema),
  platform: v.optional(PlatformSchema),
  urls: v.optional(v.array(v.string())),
  data: v.optional(v.string()),
});

/** What a manifest says of a blob or of another manifest: media type, digest and size in bytes. */
export type Descriptor = v.InferOutput<typeof DescriptorSchema>;
