import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import { AnnotationsSchema, type Descriptor } from "../../oci/descriptor.ts";
import { goObject } from "../../oci/go-object.ts";
import { type IndexEntries, unreadableText } from "../../oci/index-entries.ts";
import type { ImageIndex } from "../../oci/manifest.ts";
import { plainType } from "../format/artifact/contents.ts";
import { weightsTypes } from "../format/artifact/recognise.ts";
import { entryType } from "../format/model-index.ts";
import { emptyConfig } from "../format/weights-artifact.ts";
import { isAttestation } from "./image-entry.ts";

/** The entries of an index that are read for weights, each digest once. */
export function weightsEntries({ manifests }: ImageIndex): Descriptor[] {
  const all = [...new Map(manifests.map((entry) => [entry.digest, entry])).values()];
  const entries = all.filter(isWeights);
  // An index around a single artifact, or around some that have no platform, says nothing that they do not.
  if (entries.length > 0 || all.length === 1) return entries.length > 0 ? entries : all;
  return all.some(isImage) ? [] : all.filter((entry) => !isAttestation(entry));
}

/** Whether an entry is an image. */
export const isImage = (entry: Descriptor): boolean => entryType(entry) === "image";

/** By the bundle's marks, those of Cog's later formats, or an artifact type that is known. */
export const isWeights = (entry: Descriptor): boolean =>
  entryType(entry) === "weights" ||
  entry.annotations?.["run.cog.weight.name"] !== undefined ||
  weightsTypes.has(plainType(entry.artifactType));

/**
 * Tells of entries that can't be read. Throws `file` where one of them may be weights that are asked for: `isMarked`
 * says that the others tell what they are.
 */
export function passOver(
  on: string,
  { unreadable }: IndexEntries,
  { isMarked, onPassed }: { isMarked: boolean; onPassed: ((message: string) => void) | undefined },
): void {
  const text = unreadableText(unreadable);
  if (text === undefined) return;
  const mayBeWanted = !isMarked || unreadable.some(({ value }) => saysWeights(value));
  if (mayBeWanted || onPassed === undefined) throw new OcibundleError("file", `${on}: ${text}`);
  onPassed(`${on}: ${text}`);
}

/** Whether what can't be read as an entry of an index says that it is weights. */
function saysWeights(value: unknown): boolean {
  const result = v.safeParse(MarkedSchema, value);
  if (!result.success) return false;
  // Nothing else of it: other members are not what they are called.
  const { artifactType, annotations } = result.output;
  return isWeights({ ...unknownEntry, artifactType, annotations });
}

const MarkedSchema = goObject({
  artifactType: v.fallback(v.optional(v.string()), undefined),
  annotations: v.fallback(v.optional(AnnotationsSchema), undefined),
});

const unknownEntry = { mediaType: "", digest: emptyConfig.digest, size: 0 };
