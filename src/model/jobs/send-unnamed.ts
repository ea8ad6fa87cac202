import type { ContentWriter } from "../../oci/content.ts";
import type { Digest } from "../../oci/digest.ts";
import type { LayoutName } from "../format/layout-name.ts";
import type { SendUnnamed, Session } from "../session/session.ts";

/** Remote files that are sent while they are hashed, before the rest is. */
export interface SendingUnnamed {
  /** Undefined where the layout stores files in another form, or nothing is to be sent. */
  send: SendUnnamed | undefined;
  /** What was sent: of each blob the bytes that an earlier run had sent. */
  sent: ReadonlyMap<Digest, number>;
}

/** Sends to a target what must be read in any case, so that it need not be read twice. */
export function sendUnnamed(
  { emit }: Pick<Session, "emit">,
  target: ContentWriter,
  { dryRun, layout = "bundle" }: { dryRun: boolean; layout: LayoutName | undefined },
): SendingUnnamed {
  const sent = new Map<Digest, number>();
  const isPlain = layout === "bundle" || layout === "bundle-1";
  if (dryRun || !isPlain || target.writeUnnamed === undefined) return { send: undefined, sent };
  return {
    sent,
    async send(blob, onBytes, signal) {
      const { expected, size, label } = blob;
      // What is there already is only compared.
      if (expected !== undefined) {
        const descriptor = { mediaType: "application/octet-stream", digest: expected, size };
        if (await target.hasBlob(descriptor, signal)) return undefined;
      }
      let before = 0;
      const count = (bytes: number, resumed?: boolean): void => {
        if (resumed === true) before = bytes;
        onBytes(bytes, resumed);
      };
      const digest = await target.writeUnnamed?.(blob, { signal, onBytes: count });
      if (digest === undefined) {
        const message = `${target.name} does not support chunked uploads: ${label} is read twice`;
        emit({ type: "detail", message });
      } else if (expected === undefined || expected === digest) sent.set(digest, before);
      return digest;
    },
  };
}
