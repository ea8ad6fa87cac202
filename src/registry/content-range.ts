import type { ByteRange } from "../oci/content.ts";

/** What a 206 says it holds: the bytes, and the whole's size where it is known. */
export interface ContentRange {
  range: ByteRange;
  total: number | undefined;
}

const number = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text))
    ? Number(text)
    : undefined;

/** Reads a download's `Content-Range: bytes 0-99/1234` (RFC 9110, section 14.4). */
export function parseContentRange(header: string | null): ContentRange | undefined {
  const [, first, last, whole] = /^bytes +(\d+)-(\d+)\/(\d+|\*)$/i.exec(header?.trim() ?? "") ?? [];
  const start = number(first);
  const inclusive = number(last);
  const total = number(whole);
  if (start === undefined || inclusive === undefined || inclusive < start) return undefined;
  if (whole !== "*" && total === undefined) return undefined;
  if (total !== undefined && inclusive >= total) return undefined;
  return { range: { start, end: inclusive + 1 }, total };
}

/** The `Range` header that asks for bytes of a blob. */
export const formatRange = ({ start, end }: ByteRange): string => `bytes=${start}-${end - 1}`;

/**
 * Reads the `Range: 0-99` of an upload (distribution-spec v1.1, "Pushing a blob in chunks"): how many
 * bytes the registry has. `0-0` is what distribution says of none as well as of one: `atLeast`, what
 * is known to be there, decides.
 */
export function parseUploadRange(header: string | null, atLeast: number): number | undefined {
  const [, last] = /^(?:bytes[ =])?0-(\d+)$/i.exec(header?.trim() ?? "") ?? [];
  const inclusive = number(last);
  if (inclusive === undefined) return undefined;
  return inclusive === 0 ? Math.min(atLeast, 1) : inclusive + 1;
}
