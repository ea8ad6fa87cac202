/**
 * Reads `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date. In milliseconds from `now`;
 * 0 for a date that has passed, undefined for what is neither.
 */
export function parseRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  const text = header.trim();
  if (/^\d{1,10}$/.test(text)) return Number(text) * 1000;
  // Only the date form of RFC 9110, section 5.6.7: Date.parse alone takes nearly anything.
  if (!/^[A-Z][a-z]{2,8}, .*GMT$/.test(text)) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

/**
 * What an answer asks to wait, in milliseconds from `now`. A date counts from the answer's own `Date`
 * where it has one: this machine's clock may be wrong.
 */
export function askedToWait(headers: Headers, now: number): number | undefined {
  const itsNow = Date.parse(headers.get("date") ?? "");
  return parseRetryAfter(headers.get("retry-after"), Number.isNaN(itsNow) ? now : itsNow);
}
