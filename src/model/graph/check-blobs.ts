import { withContext } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import type { BlobToMove, ContentWriter, BlobOutcome } from "../../oci/content.ts";

/** A blob that the target will not take is found out before anything is sent, however small the others are. */
export function checkTaken(blob: BlobToMove, target: ContentWriter): void {
  try {
    target.checkBlob?.(blob);
  } catch (error) {
    throw withContext(blob.label, error);
  }
}

/** Requests at once for sources and for mounts. */
const checksAtOnce = 16;

/** Finds out what can't be had before anything is moved. Parts of one file have one check, which is made once. */
export async function checkSources(
  blobs: readonly BlobToMove[],
  signal: AbortSignal,
): Promise<void> {
  const byCheck = [...Map.groupBy(blobs, ({ check }) => check)];
  await parallel(byCheck, checksAtOnce, signal, async ([check, [first]], stop) => {
    try {
      await check?.(stop);
    } catch (error) {
      throw first === undefined ? error : withContext(first.label, error);
    }
  });
}

/** Blobs that are compared at once with what they are made from: each may be encoded again. */
const confirmedAtOnce = 4;

/** Makes sure that blobs which the target has are what is said of them. Throws `integrity`. */
export async function confirmBlobs(
  blobs: readonly BlobToMove[],
  there: readonly BlobToMove[],
  target: ContentWriter,
  signal: AbortSignal,
): Promise<void> {
  const digests = new Set(there.map(({ descriptor }) => descriptor.digest));
  const claims = blobs.filter(
    ({ confirm, descriptor }) => confirm !== undefined && digests.has(descriptor.digest),
  );
  await parallel(claims, confirmedAtOnce, signal, async ({ confirm, descriptor, label }, stop) => {
    try {
      const open = target.blobSource?.bind(target);
      await confirm?.(open === undefined ? undefined : () => open(descriptor, stop), stop);
    } catch (error) {
      throw withContext(label, error);
    }
  });
}

/** What would become of blobs that are missing. */
export async function foresee(
  blobs: readonly BlobToMove[],
  target: ContentWriter,
  signal: AbortSignal,
): Promise<(readonly [BlobToMove, BlobOutcome])[]> {
  return parallel(blobs, checksAtOnce, signal, async (blob, stop) => {
    const mounts = (await target.canMount?.(blob, stop)) ?? false;
    return [blob, mounts ? "mounted" : "sent"] as const;
  });
}
