import { chunkRange } from "./range.ts";
import { Refusal } from "./refusal.ts";
import type { Registry } from "./request.ts";
import { bodyReader } from "../storage/body-reader.ts";
import type { UploadSession } from "../storage/upload-sessions.ts";

/**
 * Takes in a request's body, after what `Content-Range` and `Content-Length` say was checked. Only the last
 * chunk may be shorter than the registry's minimum, so nothing may follow one that is. A chunk that broke
 * off is none of those: what comes next completes it. `isLast`: nothing follows a body that came whole.
 */
export async function receiveBody(
  { storage, minChunkLength = 0 }: Registry,
  session: UploadSession,
  request: Request,
  { isLast }: { isLast: boolean },
): Promise<void> {
  const before = session.size;
  const expected = expectedLength(request, session);
  const isEmpty = request.body === null || request.headers.get("Content-Length") === "0";
  if (session.hadShortChunk && !isEmpty) {
    throw new Refusal(
      400,
      {
        code: "SIZE_INVALID",
        message: "a chunk other than the last is shorter than OCI-Chunk-Min-Length",
        detail: { minimum: minChunkLength },
      },
      receivedHeader(session),
    );
  }
  const body = bodyReader(request);
  if (body !== undefined) {
    await storage.uploads.append(session, body, { length: contentLength(request), isLast });
  }
  const length = session.size - before;
  if (expected === undefined) return;
  if (expected === length) {
    session.hadShortChunk = length < minChunkLength;
    return;
  }
  await storage.uploads.cut(session, before);
  throw new Refusal(400, {
    code: "SIZE_INVALID",
    message: "the length of the body does not match Content-Range",
    detail: { expected, length },
  });
}

/** The body's length as `Content-Length` says it, in bytes; undefined without that header. */
function contentLength({ headers }: Request): number | undefined {
  const text = headers.get("Content-Length");
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** The body's length as `Content-Range` says it, in bytes; undefined without that header. */
function expectedLength(request: Request, session: UploadSession): number | undefined {
  const header = request.headers.get("Content-Range");
  if (header === null) return undefined;
  const range = chunkRange(header);
  if (range === undefined) {
    throw new Refusal(400, {
      code: "BLOB_UPLOAD_INVALID",
      message: "Content-Range is not of the form start-end",
      detail: { "Content-Range": header },
    });
  }
  if (range.start !== session.size) {
    throw new Refusal(
      416,
      {
        code: "BLOB_UPLOAD_INVALID",
        message: "the chunk does not start where the previous one ended",
        detail: { start: range.start, received: session.size },
      },
      receivedHeader(session),
    );
  }
  const length = request.headers.get("Content-Length");
  if (length !== null && Number(length) !== range.end - range.start) {
    throw new Refusal(400, {
      code: "SIZE_INVALID",
      message: "Content-Length does not match Content-Range",
      detail: { "Content-Range": header, "Content-Length": length },
    });
  }
  return range.end - range.start;
}

/** The spec has no way to say "no bytes", and what clients know for it is `0-0`. */
export const receivedHeader = (session: UploadSession): Record<string, string> => ({
  Range: `0-${Math.max(0, session.size - 1)}`,
});
