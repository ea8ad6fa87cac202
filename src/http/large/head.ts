/** What marks the end of a body: its length in bytes, its last chunk, or the end of the connection. */
export type BodyFraming = number | "chunked" | "close";

/** The head of a response: status line and headers. */
export interface ResponseHead {
  status: number;
  headers: Headers;
  framing: BodyFraming;
  /** Whether the connection can be used again after the body. */
  keepsAlive: boolean;
}

/** The reason phrase has no control characters (RFC 9112, section 4). */
const statusLine = /^HTTP\/1\.1 ([1-5]\d\d) [\t\x20-\x7e\x80-\xff]*$/;
/** A name is a token, a value has no control characters (RFC 9110, sections 5.1 and 5.5). */
const fieldLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;
const lengthValue = /^\d{1,15}$/;

/**
 * Parses the head of an HTTP/1.1 response to a GET (RFC 9112, sections 4 to 6), without the empty line at
 * its end. `text` has one character for each byte. Undefined for everything ambiguous: two lengths, a
 * length together with chunks, an unknown transfer coding, folded lines, other versions, no HTTP.
 */
export function parseResponseHead(text: string): ResponseHead | undefined {
  const [first = "", ...lines] = text.split("\r\n");
  const status = Number(statusLine.exec(first)?.[1] ?? Number.NaN);
  if (Number.isNaN(status)) return undefined;
  const headers = new Headers();
  for (const line of lines) {
    const [, name, value] = fieldLine.exec(line) ?? [];
    if (name === undefined || value === undefined) return undefined;
    headers.append(name, value);
  }
  const framing = framingOf(status, headers);
  if (framing === undefined) return undefined;
  const connection = headers.get("connection")?.toLowerCase() ?? "keep-alive";
  const keepsAlive = connection === "keep-alive" && framing !== "close";
  return { status, headers, framing, keepsAlive };
}

/** RFC 9112, section 6.3. Headers joins two lengths with a comma, which is no length. */
function framingOf(status: number, headers: Headers): BodyFraming | undefined {
  if (status < 200 || status === 204 || status === 304) return 0;
  const coding = headers.get("transfer-encoding");
  const length = headers.get("content-length");
  if (coding === null && length === null) return "close";
  if (length === null) return coding?.toLowerCase() === "chunked" ? "chunked" : undefined;
  return coding === null && lengthValue.test(length) ? Number(length) : undefined;
}
