import { errno, OcibundleError } from "../../errors.ts";
import { decompress } from "../../image/conversion/decompress.ts";
import {
  isPlaneCodec,
  planeDecoder,
  type PlaneCodec,
  planeWidths,
} from "../../runtime/plane-codec.ts";
import type { PartEncoding } from "./parts-artifact.ts";

/** How bytes are stored, and how many there are of the original. */
export interface StoredForm {
  encoding: PartEncoding;
  /** In bytes. */
  size: number;
}

/**
 * Hands the original of what is stored to `consume`; a chunk may be used until the next one is asked for only. `on`
 * names it. Throws `integrity` for what is damaged, cut off, followed by other bytes, or, of planes, of another size;
 * what `input` and `consume` throw comes through.
 */
export async function decodePart(
  { encoding, size }: StoredForm,
  input: AsyncIterable<Uint8Array>,
  on: string,
  consume: (chunks: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<void> {
  if (encoding === "none") return consume(input);
  if (!isPlaneCodec(encoding)) return decompress(encoding, input, on, consume);
  return consume(decodePlanes(encoding, size, input, on));
}

async function* decodePlanes(
  codec: PlaneCodec,
  size: number,
  input: AsyncIterable<Uint8Array>,
  on: string,
): AsyncGenerator<Uint8Array> {
  const decoder = planeDecoder({ width: planeWidths[codec], size });
  const checked = <T>(work: () => T): T => {
    try {
      return work();
    } catch (cause) {
      if (errno(cause)?.startsWith("ZSTD_") !== true || !(cause instanceof Error)) throw cause;
      throw new OcibundleError(
        "integrity",
        `${on}: the ${codec} data is damaged: ${cause.message}`,
        { hint: "create or copy it again", cause },
      );
    }
  };
  try {
    for await (const chunk of input) {
      const blocks = decoder.take(chunk)[Symbol.iterator]();
      for (;;) {
        const { done, value } = checked(() => blocks.next());
        if (done === true) break;
        yield value;
      }
    }
    checked(() => decoder.end());
  } finally {
    decoder.close();
  }
}
