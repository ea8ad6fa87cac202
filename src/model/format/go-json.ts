// Go's encoding/json writes these so that JSON can stand in HTML and JavaScript.
const escapes: Readonly<Record<string, string>> = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
};

const encoded = (json: string): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(
    json.replaceAll(/[<>&\u2028\u2029]/g, (character) => escapes[character] ?? ""),
  );

/**
 * JSON as Go's json.Marshal writes it: compact, members in the order they have, and `<`, `>`, `&`,
 * U+2028 and U+2029 escaped. Tools written in Go then make the same bytes, and so the same digest, of
 * the same document.
 */
export const goJson = (value: unknown): Uint8Array<ArrayBuffer> => encoded(JSON.stringify(value));

/** The same as json.MarshalIndent writes it, by two spaces and without a newline at the end. */
export const goIndentedJson = (value: unknown): Uint8Array<ArrayBuffer> =>
  encoded(JSON.stringify(value, null, 2));
