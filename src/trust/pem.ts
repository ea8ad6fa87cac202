import { Buffer } from "node:buffer";

/** One block of a PEM file (RFC 7468). */
export interface PemBlock {
  /** What stands between BEGIN and the dashes: `PUBLIC KEY`. */
  label: string;
  bytes: Uint8Array;
  /** The block as it was written, for parsers of their own. */
  text: string;
}

const pattern = /-----BEGIN ([A-Z0-9 ]{1,64})-----([A-Za-z0-9+/=:,\s-]*?)-----END \1-----/g;

/** The blocks of a PEM file, in their order; none where it is something else. */
export const pemBlocks = (text: string): PemBlock[] =>
  Array.from(text.matchAll(pattern), ([whole, label = "", body = ""]) => ({
    label,
    // Older formats have headers in front of the data, which Node reads.
    bytes: Buffer.from(body.replaceAll(/^.*:.*$/gm, ""), "base64"),
    text: `${whole}\n`,
  }));

/** Bytes as a PEM block, 64 characters a line. */
export function formatPem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
