import { errno, OcibundleError } from "../../errors.ts";
import { digestHex, shortDigest } from "../../oci/digest.ts";
import {
  decodedTooLongCode,
  fileEndedCode,
  type FollowJob,
  type Followed,
} from "../../runtime/worker-protocol.ts";
import type { BlobToFetch } from "./blob-to-fetch.ts";
import type { Original } from "./decode.ts";

/** What is wrong with the bytes, or undefined when they are those that were asked for. */
export function wrongBytes(
  { descriptor, original, label }: BlobToFetch,
  { hex, decoded }: Followed,
): OcibundleError | undefined {
  if (hex !== digestHex(descriptor.digest)) {
    return new OcibundleError(
      "integrity",
      `${label}: the received content does not match digest ${shortDigest(descriptor.digest)}`,
    );
  }
  if (decoded === undefined || original === undefined) return undefined;
  if (decoded.size === original.size && decoded.hex === digestHex(original.digest))
    return undefined;
  return new OcibundleError(
    "integrity",
    decoded.size === original.size
      ? `${label}: decompresses to content that does not match digest ${shortDigest(original.digest)}`
      : `${label}: decompresses to ${decoded.size} bytes, expected ${original.size}`,
  );
}

/** A failure to hash or decompress that says that the bytes are wrong, in place of the disk or the network. */
export function undecodable(
  error: unknown,
  { label, original }: BlobToFetch,
  { decode }: FollowJob,
): OcibundleError | undefined {
  const code = errno(error);
  if (code === undefined || error instanceof OcibundleError) return undefined;
  const says =
    code === decodedTooLongCode && original !== undefined
      ? `decompresses to more than ${original.size} bytes`
      : code === fileEndedCode
        ? "its file was truncated during the download"
        : decode !== undefined && /^(?:Z_|ZSTD_|ERR_)/.test(code)
          ? `is not valid ${decode.codec} data`
          : undefined;
  return says === undefined
    ? undefined
    : new OcibundleError("integrity", `${label}: ${says}`, { cause: error });
}

/** A blob that is stored as it is must be its original. Throws `integrity`. */
export function checkSame({ descriptor, label }: BlobToFetch, { digest, size }: Original): void {
  if (descriptor.digest === digest && descriptor.size === size) return;
  throw new OcibundleError(
    "integrity",
    `${label}: is stored uncompressed, but the descriptor has a different original digest or size`,
  );
}
