import {
  brotliDecompressSync,
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
  gunzipSync,
  inflateRawSync,
  inflateSync,
  zstdDecompressSync,
} from "node:zlib";
import type { Transform } from "node:stream";
import { errno } from "../../errors.ts";

/*
 * Content-Encoding (RFC 9110, section 8.4) can't be trusted: some servers label gzip blobs with it and
 * send the stored bytes, some proxies compress what passes. fetch hands on what was sent, and callers
 * decide by what they know of the content: that it is JSON, or how many bytes it must have.
 */

/** Codings that can be undone. */
export type ContentCoding = "gzip" | "deflate" | "br" | "zstd";

const names: Readonly<Record<string, ContentCoding>> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  deflate: "deflate",
  br: "br",
  zstd: "zstd",
};

/** No server has a reason for more. */
const mostCodings = 3;

/** The names in Content-Encoding in the order they were applied, without "identity". */
export const codingNames = (headers: Headers): string[] =>
  (headers.get("content-encoding") ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "" && name !== "identity");

/** The codings to undo, the last applied first; undefined when one of them is not known. */
export function codingsOf(headers: Headers): ContentCoding[] | undefined {
  const found = codingNames(headers);
  if (found.length > mostCodings) return undefined;
  const codings = found.map((name) => (Object.hasOwn(names, name) ? names[name] : undefined));
  return codings.every((coding) => coding !== undefined) ? codings.toReversed() : undefined;
}

/** A document after its coding was undone. */
export interface DecodedDocument {
  bytes: Uint8Array;
  /** Whether it is longer than its limit; what is beyond is left out. */
  cut: boolean;
}

/**
 * A document of at most `limit` bytes out of a body labelled with codings. What is JSON already, or
 * can't be decoded, was only labelled.
 */
export function decodeDocument(body: Uint8Array, headers: Headers, limit: number): DecodedDocument {
  const asSent = { bytes: body, cut: false };
  if (codingNames(headers).length === 0 || isJson(body)) return asSent;
  let bytes = body;
  try {
    for (const coding of codingsOf(headers) ?? []) bytes = decodeWhole(bytes, coding, limit);
  } catch (error) {
    return errno(error) === "ERR_BUFFER_TOO_LARGE"
      ? { bytes: new Uint8Array(0), cut: true }
      : asSent;
  }
  return { bytes, cut: false };
}

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder().decode(bytes));
    return true;
  } catch {
    return false;
  }
}

function decodeWhole(bytes: Uint8Array, coding: ContentCoding, limit: number): Uint8Array {
  const options = { maxOutputLength: limit };
  if (coding === "gzip") return gunzipSync(bytes, options);
  if (coding === "br") return brotliDecompressSync(bytes, options);
  if (coding === "zstd") return zstdDecompressSync(bytes, options);
  try {
    return inflateSync(bytes, options);
  } catch (error) {
    // Some servers send "deflate" without its zlib header (RFC 9110, section 8.4.1.2).
    if (errno(error) === "ERR_BUFFER_TOO_LARGE") throw error;
    return inflateRawSync(bytes, options);
  }
}

/** How content that a coding made begins; brotli has no sign. */
const signs: Readonly<Record<ContentCoding, (bytes: Uint8Array) => boolean>> = {
  gzip: ([a, b]) => a === 0x1f && b === 0x8b,
  zstd: ([a, b, c, d]) => a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd,
  deflate: ([a = 0, b = 0]) => (a & 0x0f) === 8 && (a * 256 + b) % 31 === 0,
  br: () => true,
};

/** Whether bytes may begin what this coding made. */
export const mayBeCoded = (bytes: Uint8Array, coding: ContentCoding): boolean =>
  signs[coding](bytes);

/** The most that the beginning of a body may become. */
const mostInside = 16 * 1024 * 1024;

/**
 * What the beginning of a coded body becomes, as far as it goes: undefined when it can't have been made
 * by that coding, no bytes when it becomes too many.
 */
export function decodePrefix(bytes: Uint8Array, coding: ContentCoding): Uint8Array | undefined {
  const { Z_SYNC_FLUSH, BROTLI_OPERATION_FLUSH, ZSTD_e_flush } = constants;
  const most = { maxOutputLength: mostInside };
  try {
    if (coding === "br") {
      return brotliDecompressSync(bytes, { ...most, finishFlush: BROTLI_OPERATION_FLUSH });
    }
    if (coding === "zstd") return zstdDecompressSync(bytes, { ...most, finishFlush: ZSTD_e_flush });
    const options = { ...most, finishFlush: Z_SYNC_FLUSH };
    return coding === "gzip" ? gunzipSync(bytes, options) : inflateSync(bytes, options);
  } catch (error) {
    return errno(error) === "ERR_BUFFER_TOO_LARGE" ? new Uint8Array(0) : undefined;
  }
}

/** Undoes a coding of a stream of any length. */
export function decoder(coding: ContentCoding): Transform {
  if (coding === "gzip") return createGunzip();
  if (coding === "br") return createBrotliDecompress();
  return coding === "zstd" ? createZstdDecompress() : createInflate();
}
