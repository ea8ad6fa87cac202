/** A header of tensors has three levels: nothing that is meant seriously comes near. */
const maxLevels = 32;

/**
 * Parses JSON from outside whose nesting is bounded: a header of brackets alone takes fifty times its size of memory.
 * Throws `SyntaxError` for what is nested deeper, `TypeError` for what is not UTF-8, and as `JSON.parse`.
 */
export function parseShallowJson(bytes: Uint8Array): { text: string; value: unknown } {
  if (isDeep(bytes)) throw new SyntaxError("nested too deep");
  const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  return { text, value: JSON.parse(text) };
}

const [quote, backslash] = [0x22, 0x5c];
/** Of `[` and `{`, and of `]` and `}`. */
const openers: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const closers: ReadonlySet<number> = new Set([0x5d, 0x7d]);

/** All of these are bytes that no longer character of UTF-8 contains. */
function isDeep(bytes: Uint8Array): boolean {
  let level = 0;
  let inText = false;
  for (let at = 0; at < bytes.byteLength; at += 1) {
    const byte = bytes[at] ?? 0;
    if (inText) {
      if (byte === backslash) at += 1;
      else if (byte === quote) inText = false;
    } else if (byte === quote) inText = true;
    else if (openers.has(byte)) {
      level += 1;
      if (level > maxLevels) return true;
    } else if (closers.has(byte)) level -= 1;
  }
  return false;
}
