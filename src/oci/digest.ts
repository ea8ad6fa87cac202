import { createHash, type Hash } from "node:crypto";
import * as v from "valibot";

/**
 * A content address (image-spec v1.1, descriptor.md#digests): `sha256:` with 64, or `sha512:` with
 * 128, lower-case hex digits. Other registered algorithms can't be verified and are refused.
 */
export type Digest = `sha256:${string}` | `sha512:${string}`;

const pattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** Whether a text is a digest: `sha256:` and 64 or `sha512:` and 128 lower-case hex digits. */
export const isDigest = (text: string): text is Digest => pattern.test(text);

/** A digest in a document from outside; other algorithms are refused. */
export const DigestSchema = v.custom<Digest>(
  (input) => typeof input === "string" && isDigest(input),
  "must be a digest: sha256: and 64 lower-case hex digits",
);

/** The algorithm before the colon. */
export const digestAlgorithm = (digest: Digest): "sha256" | "sha512" =>
  digest.startsWith("sha256:") ? "sha256" : "sha512";

/** The hex digits after the colon: the name of the file in a layout. */
export const digestHex = (digest: Digest): string => digest.slice(digest.indexOf(":") + 1);

/** `sha256:` and the first 12 digits, for messages and tables. */
export const shortDigest = (digest: Digest): string => digest.slice(0, digest.indexOf(":") + 13);

/** The sha256 digest of bytes in memory. */
export const digestOf = (bytes: Uint8Array | string): `sha256:${string}` =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** An incremental check of bytes against the algorithm of `digest`. */
export const hasherFor = (digest: Digest): Hash => createHash(digestAlgorithm(digest));

/** Whether in-memory bytes have this digest. */
export const matchesDigest = (bytes: Uint8Array, digest: Digest): boolean =>
  `${digestAlgorithm(digest)}:${hasherFor(digest).update(bytes).digest("hex")}` === digest;
