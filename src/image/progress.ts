import { type Digest, shortDigest } from "../oci/digest.ts";
import type { EmitEvent } from "../transfer/events.ts";

/** Tells of a layer that is read, `bytes` long. */
export function layerProgress(
  emit: EmitEvent | undefined,
  phase: "export" | "compress",
  name: Digest | string,
  bytes: number,
) {
  const item = `layer ${name.startsWith("sha256:") ? shortDigest(name as Digest) : name}`;
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
