import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import { SizeSchema } from "../../oci/descriptor.ts";
import { parseDocument } from "../../oci/document.ts";
import { openObject } from "../../oci/open-schemas.ts";
import { goIndentedJson } from "./go-json.ts";
import {
  checkEntriesApart,
  checkNameAndDest,
  layerTypes,
  Sha256Schema,
  type WeightEntry,
} from "./weight-entry.ts";
import { parseWeightsLock, type WeightsLock } from "./weights-lock.ts";

const VersionSchema = v.looseObject({
  version: v.optional(v.unknown()),
  weights: v.optional(v.unknown()),
});

const CogLockSchema = v.looseObject({
  version: v.literal(1),
  weights: v.array(
    v.looseObject({
      name: v.string(),
      target: v.string(),
      importedAt: v.optional(v.string(), ""),
      files: v.array(
        v.looseObject({
          path: v.string(),
          size: SizeSchema,
          digest: Sha256Schema,
          layer: Sha256Schema,
        }),
      ),
    }),
  ),
});

/** Layer types that Cog's lock of version "1.0" has for files that are pinned by their own digests. */
const singleLayer = "application/vnd.cog.weight.layer.v1";

/**
 * Reads a lock of this format or of Cog's: version 1 (a number), which lists the files of named weights, and
 * "1.0", which lists files. What is read this way says which files there are: enough to compare with a
 * directory or another model, and not to push. Throws `file`.
 */
export function parseAnyLock(bytes: Uint8Array, on: string): WeightsLock {
  const { version, weights } = parseDocument(bytes, VersionSchema, on);
  if (version === 1 && weights !== undefined) return cogLock(bytes, on);
  return version === "1.0" ? cogFileLock(bytes, on) : parseWeightsLock(bytes, on);
}

/** Whether a document is a lock of Cog's, of either version, as far as its outline tells. */
export function isCogLock(bytes: Uint8Array): boolean {
  try {
    const { version, weights } = parseDocument(bytes, VersionSchema, "it");
    return version === "1.0" || (version === 1 && Array.isArray(weights));
  } catch (error) {
    if (error instanceof OcibundleError) return false;
    throw error;
  }
}

function cogLock(bytes: Uint8Array, on: string): WeightsLock {
  const { weights } = parseDocument(bytes, CogLockSchema, on);
  const files = weights.flatMap(({ name, target, files: listed }) =>
    listed.map(({ path, size, digest, layer }): WeightEntry => {
      const entry = { name: `${name}/${path}`, dest: `${target.replace(/\/+$/, "")}/${path}` };
      checkNameAndDest(entry, on);
      return {
        ...entry,
        digestOriginal: digest,
        digest: layer,
        size,
        sizeUncompressed: size,
        mediaType: layerTypes.none,
      };
    }),
  );
  checkEntriesApart(files, on);
  const created =
    weights
      .map(({ importedAt }) => importedAt)
      .toSorted()
      .at(-1) ?? "";
  return { version: "1", created, files };
}

/** Version "1.0" is this format with other layer types. */
function cogFileLock(bytes: Uint8Array, on: string): WeightsLock {
  const lock = parseDocument(bytes, openObject({ files: v.array(openObject({})) }), on);
  const files = lock.files.map((file) =>
    file["mediaType"] === singleLayer ? { ...file, mediaType: layerTypes.none } : file,
  );
  const text = JSON.stringify({ ...lock, version: "1", files });
  return parseWeightsLock(new TextEncoder().encode(text), on);
}

/** Where Cog looks for the files of a weight, as its `cog.yaml` says it. */
export interface CogSource {
  uri: string;
  include: readonly string[];
  exclude: readonly string[];
}

/** What Cog's `weights.lock` pins of a weight; members in the order in which Cog writes them. */
export interface CogLockEntry {
  name: string;
  target: string;
  digest: string;
  setDigest: string;
  size: number;
  sizeCompressed: number;
  files: { path: string; size: number; digest: string; layer: string | undefined }[];
  layers: { digest: string; mediaType: string; size: number; sizeUncompressed: number }[];
  /** Unless they are given: the directory that was pushed. */
  sources?: readonly CogSource[] | undefined;
}

/**
 * Cog's `weights.lock`, version 1: what today's `cog` reads. `uri` is the source of weights that name none.
 * The packing is not Cog's own, so `envelopeFormat` is empty: Cog packs again at its next import.
 */
export const cogLockOf = (
  entries: readonly CogLockEntry[],
  { uri, importedAt }: { uri: string; importedAt: string },
): Uint8Array<ArrayBuffer> =>
  goIndentedJson({
    version: 1,
    envelopeFormat: "",
    weights: entries.map(({ name, target, sources, ...rest }) => ({
      name,
      target,
      sources: (sources ?? [{ uri, include: [], exclude: [] }]).map((source) => ({
        uri: source.uri,
        fingerprint: rest.setDigest,
        include: source.include,
        exclude: source.exclude,
      })),
      importedAt,
      ...rest,
    })),
  });
