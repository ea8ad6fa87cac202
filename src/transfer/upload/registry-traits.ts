import type { RegistryLimits } from "../../registry/limits.ts";
import { chunkSizes, type ChunkTraits } from "./chunk-size.ts";
import type { MountMemory } from "./mount-memory.ts";
import type { ServerContact } from "../../retry/retry-counter.ts";
import type { RateTraits } from "./first-rate.ts";
import type { UploadTraits } from "./upload-method.ts";

/** What one registry has shown of how it takes uploads. */
export interface RegistryTraits extends ChunkTraits, UploadTraits, RateTraits {
  readonly contact: ServerContact;
  readonly mounts: MountMemory;
  /** Whether a blob is stored with the request that would open a session; undefined before that was tried. */
  wholePosts?: boolean;
}

/** What is assumed of a registry before its first answer. */
export const unknownTraits = (): RegistryTraits => ({
  refused: new Map(),
  largestChunk: chunkSizes.largest,
  rate: 0,
  contact: {},
  mounts: new Map(),
});

/** What is known about a hosted registry before the first request to it. */
export function initialTraits(limits: RegistryLimits | undefined): RegistryTraits {
  const traits = unknownTraits();
  const { name, largestChunk = chunkSizes.largest, chunks = true } = limits ?? {};
  if (!chunks) traits.refused.set("chunks", `${name} does not accept chunks`);
  else if (largestChunk < chunkSizes.smallest) {
    traits.refused.set("chunks", `${name} accepts only small chunks`);
  } else traits.largestChunk = Math.min(traits.largestChunk, largestChunk);
  return traits;
}
