import { maxTensors } from "./read-at.ts";

/** A header of tensors has three levels: nothing that is meant seriously comes near. */
const maxLevels = 32;

// A tensor is an object with two lists in it, four members, and as many commas as it has members and numbers. There is
// room for as many tensors as are looked at, and for the metadata. Without these limits, 16 MiB of empty objects or of
// numbers took 1 to 1.5 GB of memory.
const mostLists = 5 * maxTensors;
const mostMembers = 6 * maxTensors;
const mostCommas = 20 * maxTensors;

/**
 * Parses JSON from outside whose nesting and number of values are bounded: a header of brackets alone takes fifty
 * times its size of memory. Throws `SyntaxError` for what is nested deeper or has more, `TypeError` for what is not
 * UTF-8, and as `JSON.parse`.
 */
export function parseShallowJson(bytes: Uint8Array): { text: string; value: unknown } {
  if (isLarge(bytes)) throw new SyntaxError("nested too deep, or too many values");
  const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  return { text, value: JSON.parse(text) };
}

const [quote, backslash, colon, comma] = [0x22, 0x5c, 0x3a, 0x2c];
/** Of `[` and `{`, and of `]` and `}`. */
const openers: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const closers: ReadonlySet<number> = new Set([0x5d, 0x7d]);

/** All of these are bytes that no longer character of UTF-8 contains. */
function isLarge(bytes: Uint8Array): boolean {
  let level = 0;
  let [lists, members, commas] = [0, 0, 0];
  let inText = false;
  for (let at = 0; at < bytes.byteLength; at += 1) {
    const byte = bytes[at] ?? 0;
    if (inText) {
      if (byte === backslash) at += 1;
      else if (byte === quote) inText = false;
    } else if (byte === quote) inText = true;
    else if (openers.has(byte)) {
      level += 1;
      lists += 1;
      if (level > maxLevels || lists > mostLists) return true;
    } else if (closers.has(byte)) level -= 1;
    else if (byte === colon) {
      members += 1;
      if (members > mostMembers) return true;
    } else if (byte === comma) {
      commas += 1;
      if (commas > mostCommas) return true;
    }
  }
  return false;
}
