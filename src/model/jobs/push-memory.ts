import type { KnownLayers } from "../../image/conversion/types.ts";
import type { BlobToMove, ContentWriter } from "../../oci/content.ts";
import type { Reference } from "../../oci/reference.ts";
import {
  keepConfig,
  type LayerRecords,
  openLayerRecords,
  readKeptConfig,
} from "../../store/records/layer-records.ts";
import { numbersOfTag } from "../graph/split-of-tag.ts";
import { openMountSources } from "../places/mount-sources.ts";
import type { Session } from "../session/session.ts";
import type { BaseVersion } from "./base-version.ts";
import type { TargetKnowledge } from "./target-knowledge.ts";

/** What earlier pushes to the same registry left in the cache directory. Only hints: the registry is asked. */
export async function openMemory(
  session: Session,
  reference: Reference,
  { target, base }: { target: ContentWriter; base: BaseVersion | undefined },
) {
  const { cache } = session;
  const { host } = reference;
  const beside = base?.reference.host === host ? [base.reference.repository] : [];
  const [mounts, layers] = await Promise.all([
    openMountSources(session, reference, beside),
    openLayerRecords(cache, host),
  ]);
  let numbers: ReturnType<typeof numbersOfTag> | undefined;
  const knowledge: TargetKnowledge = {
    host,
    base: base?.name ?? "the version that the tag has",
    numbers: () =>
      (numbers ??=
        base === undefined
          ? numbersOfTag(session.originReader(reference), reference.tag, session.signal)
          : Promise.resolve(base.numbers)),
    knownLayers: knownLayers(layers, reference, target),
    configs: {
      find: (imageId) => readKeptConfig(cache, imageId),
      record: (imageId, config) => keepConfig(cache, imageId, config),
    },
  };
  return {
    knowledge,
    mounts,
    async keep(blobs: readonly BlobToMove[]): Promise<void> {
      await Promise.all([mounts.keep(blobs), layers.save()]);
    },
  };
}

/**
 * Layers pushed to this registry before. What another repository has is mounted at once: a layer that is
 * said to be known will not be exported, so it must be there for certain.
 */
function knownLayers(
  layers: LayerRecords,
  { repository }: Reference,
  target: ContentWriter,
): KnownLayers {
  return {
    async find(diffId, signal) {
      for (const { blob, repositories } of layers.find(diffId, repository)) {
        if (await target.hasBlob(blob, signal)) return blob;
        const offered = { descriptor: blob, mountFrom: repositories };
        if ((await target.mountBlob?.(offered, signal)) === true) return blob;
      }
      return undefined;
    },
    record(diffId, descriptor) {
      layers.add(diffId, descriptor, repository);
    },
  };
}
