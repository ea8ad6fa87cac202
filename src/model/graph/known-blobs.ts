import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import type { ContentWriter } from "../../oci/content.ts";
import type { Digest } from "../../oci/digest.ts";
import { DescriptorSchema } from "../../oci/descriptor.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import { entryType } from "../format/model-index.ts";
import { refusalOf } from "../../registry/refusal.ts";
import type { ContentGraph } from "./content-graph.ts";

/** Up to so many blobs are asked for one by one: it takes no longer than asking for the manifests. */
const fewBlobs = 16;

/** Manifests asked for at once. */
const checksAtOnce = 16;

/**
 * The blobs that the target has because it has a manifest that names them: a registry takes no manifest
 * without its blobs, and keeps them as long as the manifest. One question in place of one for each of a
 * thousand weights. So are those of the versions that `versions` stand for: tags or digests. Empty where it is not
 * worth asking, or where there is no clear answer.
 */
export async function knownBlobs(
  { root, children, blobs }: ContentGraph,
  target: ContentWriter,
  signal: AbortSignal,
  versions: readonly string[] = [],
): Promise<ReadonlySet<Digest>> {
  const known = new Set<Digest>();
  const manifests = [...children, root];
  if (target.hasManifest === undefined) return known;
  if (blobs.length <= Math.max(fewBlobs, manifests.length)) return known;
  const look = async (manifest: RawManifest, stop: AbortSignal): Promise<void> => {
    const digests = blobDigests(manifest);
    if (digests.length === 0 || (await target.hasManifest?.(manifest, stop)) !== true) return;
    for (const digest of digests) known.add(digest);
  };
  try {
    await parallel(manifests, checksAtOnce, signal, look);
    for (const version of versions) {
      for (const digest of await blobsOf(target, version, signal)) known.add(digest);
    }
    return known;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof OcibundleError)) throw error;
    return new Set();
  }
}

/** Manifests below a version's that are read: a model has few. */
const maxChildren = 8;

/** The blobs of a version: the next one shares most of them. */
async function blobsOf(
  { readTag }: ContentWriter,
  version: string,
  signal: AbortSignal,
): Promise<Digest[]> {
  const root = await readTag?.(version, signal);
  if (root === undefined) return [];
  const { manifests } = membersOf(root, "manifest");
  const weights = manifests.filter((entry) => entryType(entry) === "weights");
  const children = await parallel(
    weights.slice(0, maxChildren),
    checksAtOnce,
    signal,
    async ({ digest }, stop) => await readTag?.(digest, stop),
  );
  return [root, ...children].flatMap((manifest) =>
    manifest === undefined ? [] : blobDigests(manifest),
  );
}

const BlobsSchema = v.looseObject({
  config: v.optional(DescriptorSchema),
  layers: v.optional(v.array(DescriptorSchema)),
});

/** The config and layers that a manifest names; of an index or of what can't be read, none. */
function blobDigests({ bytes }: RawManifest): Digest[] {
  try {
    const result = v.safeParse(BlobsSchema, JSON.parse(new TextDecoder().decode(bytes)));
    if (!result.success) return [];
    const { config, layers = [] } = result.output;
    return [...(config === undefined ? [] : [config]), ...layers].map(({ digest }) => digest);
  } catch {
    return [];
  }
}

/** Whether a registry refused a manifest because it lacks a blob: then it has lost one. */
export const lacksBlob = (error: unknown): boolean =>
  refusalOf(error)?.codes.some((code) =>
    ["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"].includes(code),
  ) ?? false;
