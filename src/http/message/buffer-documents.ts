import { readUpTo } from "./body.ts";
import type { Send } from "./message.ts";

/**
 * Reads a response that is a document into memory before it is returned, so that a connection that
 * breaks in the middle of it is retried like any other failure. Keeps one byte more than the limit, so
 * that the reader sees when the document is too long.
 */
export const bufferDocuments =
  (next: Send): Send =>
  async (request) => {
    const response = await next(request);
    if (request.maxDocument === undefined || response.body === undefined) return response;
    const { bytes } = await readUpTo(response, request.maxDocument + 1);
    const headers = new Headers(response.headers);
    // The bytes are decoded already.
    headers.delete("content-encoding");
    return { ...response, headers, body: new Blob([new Uint8Array(bytes)]).stream() };
  };
