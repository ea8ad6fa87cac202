import type { ByteRange } from "../../../oci/content.ts";

/**
 * The one range of a `Range` header for content of `size` bytes (RFC 9110, 14.1.2), as bytes `start` up
 * to `end`. Undefined when the header is to be ignored: absent, of another unit, malformed, or of
 * several ranges. "unsatisfiable" when nothing of the content lies in it.
 */
export function downloadRange(
  header: string | null,
  size: number,
): ByteRange | "unsatisfiable" | undefined {
  const match = /^bytes=(?<first>\d*)-(?<last>\d*)$/.exec(header?.trim() ?? "")?.groups;
  if (match === undefined) return undefined;
  const { first = "", last = "" } = match;
  if (first === "" && last === "") return undefined;
  if (first === "") {
    const suffix = Math.min(Number(last), size);
    return suffix === 0 ? "unsatisfiable" : { start: size - suffix, end: size };
  }
  const start = Number(first);
  const end = last === "" ? size : Math.min(Number(last) + 1, size);
  // RFC 9110 calls a last byte before the first one invalid, to be ignored; registries and the
  // conformance tests take it as a range that can't be satisfied.
  return start >= end ? "unsatisfiable" : { start, end };
}

/**
 * The `Content-Range` of an upload's chunk: `start-end`, inclusive, without unit and total
 * (distribution-spec v1.1, pushing a blob in chunks). Undefined when it is malformed.
 */
export function chunkRange(header: string): ByteRange | undefined {
  const match = /^(?:bytes[= ])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header.trim());
  if (match === null) return undefined;
  const start = Number(match[1]);
  const end = Number(match[2]) + 1;
  return end > start ? { start, end } : undefined;
}
