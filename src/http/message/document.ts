import { readUpTo } from "./body.ts";
import type { Send } from "./message.ts";

/**
 * Reads the body of an answer that is a document into memory before it counts as answered: what
 * breaks in the middle of it is tried again like everything else. One byte more than allowed is kept,
 * so that whoever reads it sees that it is too long.
 */
export const readDocuments =
  (next: Send): Send =>
  async (request) => {
    const response = await next(request);
    if (request.maxDocument === undefined || response.body === undefined) return response;
    const { bytes } = await readUpTo(response, request.maxDocument + 1);
    const headers = new Headers(response.headers);
    // The bytes are decoded, and decoded once.
    headers.delete("content-encoding");
    return { ...response, headers, body: new Blob([new Uint8Array(bytes)]).stream() };
  };
