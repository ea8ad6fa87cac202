import type { Codec } from "../../runtime/worker-protocol.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";

/** The file that a blob was made from. */
export interface Original {
  digest: Digest;
  /** In bytes. */
  size: number;
}

/** How a blob becomes its original again. */
export interface Decoding {
  /** Undefined: the blob is the original. */
  codec: Codec | undefined;
  /** Something is odd and yet certain. */
  warning?: string;
}

/**
 * What must be done to a blob so that its original comes out. The digests have the last word: where
 * they say that blob and original are the same bytes, a media type that says otherwise is wrong (Cog
 * wrote locks with a gzip media type over plain bytes).
 */
export function decodingOf(
  { mediaType, digest, size }: Pick<Descriptor, "mediaType" | "digest" | "size">,
  original: Original,
): Decoding {
  const codec = codecOf(mediaType);
  if (codec === undefined || digest !== original.digest || size !== original.size) return { codec };
  return {
    codec: undefined,
    warning: `its media type is ${codec}, but its digests are those of uncompressed content`,
  };
}

function codecOf(mediaType: string): Codec | undefined {
  if (mediaType.endsWith("+gzip")) return "gzip";
  if (mediaType.endsWith("+zstd")) return "zstd";
  return undefined;
}
