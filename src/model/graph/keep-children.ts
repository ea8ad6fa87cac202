import { setTimeout } from "node:timers/promises";
import { OcibundleError } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import type { ContentWriter } from "../../oci/content.ts";
import { shortDigest } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import type { EmitEvent } from "../../transfer/events.ts";

/** Manifests asked for at once. */
const checksAtOnce = 16;

/** How long to wait before each round of checks, in milliseconds. */
const waits: readonly number[] = [0, 0, 500, 2000];

/**
 * Makes sure that the manifests below a root are still there after a tag moved to it, and writes the
 * missing ones again by digest. Some registries (zot) drop the manifest that a tag pointed to when the
 * tag moves, and that can be one of the children.
 *
 * Throws `network` when a manifest stays missing. Where the registry denies the question, it warns.
 */
export async function keepChildren(
  children: readonly RawManifest[],
  target: ContentWriter,
  { signal, emit }: { signal: AbortSignal; emit: EmitEvent },
): Promise<void> {
  if (target.hasManifest === undefined) return;
  let unsure = children;
  for (const wait of waits) {
    if (unsure.length === 0) return;
    if (wait > 0) await setTimeout(wait, undefined, { signal });
    try {
      unsure = await missingOf(unsure, target, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof OcibundleError) || error.code !== "denied") throw error;
      const message = `could not check that the manifests of the tag still exist: ${error.message}`;
      return emit({ type: "warning", message });
    }
    for (const child of unsure) {
      const message = `${target.name}: manifest ${shortDigest(child.digest)} disappeared after the tag was moved; writing it again`;
      emit({ type: "detail", message });
      await target.writeManifest(child, undefined, signal);
    }
  }
  const still = await missingOf(unsure, target, signal);
  const [first] = still;
  if (first === undefined) return;
  throw new OcibundleError(
    "network",
    `${target.name}: the registry deleted manifest ${first.digest}, which the index lists`,
    { hint: "push to a new tag" },
  );
}

async function missingOf(
  manifests: readonly RawManifest[],
  target: ContentWriter,
  signal: AbortSignal,
): Promise<RawManifest[]> {
  const has = await parallel(
    manifests,
    checksAtOnce,
    signal,
    async (manifest, stop) => (await target.hasManifest?.(manifest, stop)) ?? true,
  );
  return manifests.filter((_, index) => has[index] === false);
}
