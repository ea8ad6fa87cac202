import { isDigest, shortDigest } from "../../oci/digest.ts";
import type { EmitEvent } from "../../transfer/events.ts";

/** The IDs in older archives' names have 64 digits: as many are shown as of a digest. */
const shortName = (name: string): string => name.replaceAll(/([0-9a-f]{12})[0-9a-f]{52}/g, "$1");

/** Tells of a layer that is read, `bytes` long; `name` is its diff ID or that of its file. */
export function layerProgress(
  emit: EmitEvent | undefined,
  phase: "export" | "compress",
  name: string,
  bytes: number,
) {
  const item = `layer ${isDigest(name) ? shortDigest(name) : shortName(name)}`;
  emit?.({ type: "start", phase, item, group: "image", bytes });
  return {
    async *through(chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        emit?.({ type: "progress", phase, item, bytes: chunk.byteLength });
        yield chunk;
      }
    },
    done: () => emit?.({ type: "done", phase, item }),
  };
}
