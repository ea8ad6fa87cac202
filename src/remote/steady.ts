/** A file may change twice within the second that a server's times have. In milliseconds. */
const settled = 60_000;

/**
 * Whether `Last-Modified` tells a state of a file from others for certain: where it was changed long enough before
 * it was asked for (RFC 9110, section 8.8.2.2).
 */
export function isSteady(headers: Headers): boolean {
  const modified = Date.parse(headers.get("last-modified") ?? "");
  const date = Date.parse(headers.get("date") ?? "");
  return date - modified >= settled;
}
