/** How much there may be in a document of JSON. */
export interface JsonBounds {
  /** Lists and objects in one another. */
  levels: number;
  /** Lists and objects in all. */
  lists: number;
  /** Members of objects in all. */
  members: number;
  /** Commas: between members, and between what lists have. */
  commas: number;
}

const [quote, backslash, colon, comma] = [0x22, 0x5c, 0x3a, 0x2c];
/** Of `[` and `{`, and of `]` and `}`. */
const openers: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const closers: ReadonlySet<number> = new Set([0x5d, 0x7d]);

/**
 * What a document has more of than there may be, or undefined. It is not parsed: parsed, a document of brackets alone
 * takes fifty to a hundred times its size of memory. What is no JSON may have more or less of anything.
 */
export function beyondBounds(bytes: Uint8Array, most: JsonBounds): keyof JsonBounds | undefined {
  // All of these are bytes that no longer character of UTF-8 contains.
  let inText = false;
  let [level, lists, members, commas] = [0, 0, 0, 0];
  for (let at = 0; at < bytes.byteLength; at += 1) {
    const byte = bytes[at] ?? 0;
    if (inText) {
      if (byte === backslash) at += 1;
      else if (byte === quote) inText = false;
    } else if (byte === quote) inText = true;
    else if (byte === comma) {
      commas += 1;
      if (commas > most.commas) return "commas";
    } else if (byte === colon) {
      members += 1;
      if (members > most.members) return "members";
    } else if (openers.has(byte)) {
      level += 1;
      lists += 1;
      if (level > most.levels) return "levels";
      if (lists > most.lists) return "lists";
    } else if (closers.has(byte)) level -= 1;
  }
  return undefined;
}
