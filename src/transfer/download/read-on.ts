import { OcibundleError } from "../../errors.ts";
import type { BlobSource, ByteRange } from "../../oci/content.ts";
import { outageReason } from "../../registry/outage.ts";
import { retryCounter, type RetryCounterOptions } from "../../retry/retry-counter.ts";
import { blobChunks } from "../../store/blob-chunks.ts";

/**
 * The bytes of `range` of a blob; what the network breaks off is gone on with from there. A chunk is valid until the
 * next one is asked for. Ends early when the source does. Throws what the source throws, the last failure after some.
 */
export async function* readOn(
  source: BlobSource,
  { start, end }: ByteRange,
  { signal, ...options }: RetryCounterOptions & { signal: AbortSignal },
): AsyncGenerator<Uint8Array, void, undefined> {
  const counter = retryCounter(options);
  for (let at = start; at < end;) {
    const before = at;
    try {
      for await (const chunk of blobChunks(source, { start: at, end }, signal)) {
        at += chunk.byteLength;
        yield chunk;
      }
      return;
    } catch (error) {
      if (!(error instanceof OcibundleError) || error.code !== "network") throw error;
      if (at > before) counter.reset();
      counter.count();
      await counter.wait(error, signal, outageReason(error));
    }
  }
}
