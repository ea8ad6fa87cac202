import type { ByteRange } from "../oci/content.ts";

/** What a `Range` header asks for, of `size` bytes (RFC 9110, section 14). */
export type AskedRange = { kind: "whole" } | { kind: "part"; range: ByteRange } | { kind: "none" };

const whole: AskedRange = { kind: "whole" };

/**
 * Reads a `Range` header. What is not understood, and more ranges than one, is answered with the whole, as the
 * RFC allows; `none` is a range behind the end.
 */
export function askedRange(header: string | undefined, size: number): AskedRange {
  const match = /^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header ?? "");
  if (match === null) return whole;
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return whole;
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length === 0 ? { kind: "none" } : part(size - length, size);
  }
  const start = Number(first);
  const end = last === "" ? size : Math.min(Number(last) + 1, size);
  if (last !== "" && Number(last) < start) return whole;
  return start >= size ? { kind: "none" } : part(start, end);
}

const part = (start: number, end: number): AskedRange => ({ kind: "part", range: { start, end } });
