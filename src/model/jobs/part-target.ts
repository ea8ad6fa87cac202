import type { BlobToMove, ContentWriter } from "../../oci/content.ts";
import type { Digest } from "../../oci/digest.ts";
import type { PartTarget } from "../weights/send-parts.ts";

/** Whether and how parts are sent. */
export interface PartTargetOptions {
  /** Whether the target is only asked which parts it has. */
  dryRun: boolean;
  /** Adds where a blob may be mounted from. */
  offer?: (blobs: readonly BlobToMove[]) => readonly BlobToMove[];
  /** Gets what is sent: of each blob the bytes that an earlier run had sent. */
  sent: Map<Digest, number>;
}

/** Where parts are sent as soon as they are encoded; `open` is called when the first of them is looked for. */
export function partTarget(
  open: () => Promise<ContentWriter>,
  { dryRun, offer = (blobs) => blobs, sent }: PartTargetOptions,
): PartTarget {
  const has: PartTarget["has"] = async ({ descriptor }, signal) =>
    (await open()).hasBlob(descriptor, signal);
  if (dryRun) return { has };
  return {
    has,
    async send(blob, signal) {
      const writer = await open();
      const [offered = blob] = offer([blob]);
      writer.checkBlob?.(offered);
      let before = 0;
      const onBytes = (bytes: number, resumed?: boolean): void => {
        if (resumed === true) before += bytes;
      };
      const outcome = await writer.writeBlob(offered, { signal, onBytes });
      if (outcome === "sent") sent.set(blob.descriptor.digest, before);
    },
  };
}
