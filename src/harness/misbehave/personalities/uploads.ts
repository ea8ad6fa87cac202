import { changed, type Layer } from "../../registry/auth/middleware.ts";
import {
  lengthOf,
  receivedRange,
  refuse,
  sessionNotes,
  sessionOf,
  wholePostOf,
  withHeaders,
} from "./answers.ts";

const isChunk = (request: Request): boolean =>
  request.method === "PATCH" && request.headers.has("Content-Range");

/** Answers 416 to a chunk of more than so many bytes; one body of any size is taken. */
export const chunksAtMost =
  (bytes: number): Layer =>
  (next) =>
  async (request) => {
    const length = lengthOf(request) ?? 0;
    if (sessionOf(request) === undefined || !isChunk(request) || length <= bytes) {
      return await next(request);
    }
    const range = (await receivedRange(next, request)) ?? "0-0";
    return await refuse(request, 416, "BLOB_UPLOAD_INVALID", "the chunk is too large", {
      Range: range,
    });
  };

/** Answers 413 to what would make a blob of more than so many bytes. */
export const blobsAtMost =
  (bytes: number): Layer =>
  (next) =>
  async (request) => {
    const isInSession =
      sessionOf(request) !== undefined && ["PATCH", "PUT"].includes(request.method);
    if (!isInSession && wholePostOf(request) === undefined) return await next(request);
    const range = isInSession ? await receivedRange(next, request) : undefined;
    const last = Number(range?.split("-")[1] ?? 0);
    const before = last === 0 ? 0 : last + 1;
    if (before + (lengthOf(request) ?? 0) <= bytes) return await next(request);
    return await refuse(request, 413, "SIZE_INVALID", "the layer is too large");
  };

/** Answers 413 to a PUT, or a POST, with more than so many bytes of a blob. */
export const putsAtMost =
  (bytes: number): Layer =>
  (next) =>
  async (request) => {
    const isPut = request.method === "PUT" && sessionOf(request) !== undefined;
    const isWhole = isPut || wholePostOf(request) !== undefined;
    return isWhole && (lengthOf(request) ?? 0) > bytes
      ? await refuse(request, 413, "SIZE_INVALID", "the body is too large")
      : await next(request);
  };

/** Takes a blob in a POST for a question for a session, as registries that are made of Distribution do. */
export const sessionsOnly: Layer = (next) => async (request) => {
  if (wholePostOf(request) === undefined) return await next(request);
  for await (const _ of request.body ?? []);
  const url = new URL(request.url);
  url.searchParams.delete("digest");
  const headers = new Headers(request.headers);
  headers.delete("Content-Length");
  return await next(changed(request, { url, headers, body: null }));
};

/** Answers 411 to a body whose length is not said. */
export const lengthRequired: Layer = (next) => async (request) =>
  request.body !== null && sessionOf(request) !== undefined && lengthOf(request) === undefined
    ? await refuse(request, 411, "SIZE_INVALID", "Content-Length is missing")
    : await next(request);

/** Refuses chunks: an upload is one body. */
export const noChunks: Layer = (next) => async (request) =>
  isChunk(request)
    ? await refuse(request, 400, "UNSUPPORTED", "chunked uploads are not supported")
    : await next(request);

/** Refuses what comes after a part of fewer bytes than `least`, and after `count` parts. */
export function parts({ least, count }: { least: number; count: number }): Layer {
  const seen = sessionNotes<{ parts: number; smallest: number }>();
  return (next) => async (request) => {
    const session = sessionOf(request);
    if (session === undefined || request.method !== "PATCH") return await next(request);
    const note = seen.get(session.id) ?? { parts: 0, smallest: Infinity };
    if (note.smallest < least) {
      return await refuse(request, 400, "SIZE_INVALID", "a part other than the last is too small");
    }
    if (note.parts === count) {
      return await refuse(request, 400, "BLOB_UPLOAD_INVALID", "the upload has too many parts");
    }
    const response = await next(request);
    if (response.ok) {
      const smallest = Math.min(note.smallest, lengthOf(request) ?? Infinity);
      seen.set(session.id, { parts: note.parts + 1, smallest });
    }
    return response;
  };
}

/** Answers 201 to a PATCH that was taken. */
export const patchAnswersCreated: Layer = (next) => async (request) => {
  const response = await next(request);
  return request.method === "PATCH" && response.status === 202
    ? withHeaders(response, () => {}, 201)
    : response;
};

/** Says of a session for ever what it had after its first chunk. */
export function stuckRange(): Layer {
  const first = sessionNotes<string>();
  return (next) => async (request) => {
    const response = await next(request);
    const session = sessionOf(request);
    const range = response.headers.get("Range");
    if (session === undefined || range === null || !response.ok) return response;
    const stuck = first.get(session.id);
    if (stuck !== undefined) {
      return withHeaders(response, (headers) => headers.set("Range", stuck));
    }
    if (request.method === "PATCH") first.set(session.id, range);
    return response;
  };
}

/** Answers 404 to the question how far a session is. */
export const noSessionState: Layer = (next) => async (request) =>
  sessionOf(request) !== undefined && (request.method === "GET" || request.method === "HEAD")
    ? await refuse(request, 404, "BLOB_UPLOAD_UNKNOWN", "the upload does not exist")
    : await next(request);

/** Answers 416 to everything in a session of which a request failed. */
export function noSecondTry(): Layer {
  const failed = sessionNotes<true>();
  return (next) => async (request) => {
    const session = sessionOf(request);
    if (session === undefined || !["PATCH", "PUT"].includes(request.method)) {
      return await next(request);
    }
    if (failed.has(session.id)) {
      return await refuse(request, 416, "BLOB_UPLOAD_INVALID", "the upload has already failed");
    }
    failed.set(session.id, true);
    const response = await next(request);
    if (response.ok) failed.delete(session.id);
    return response;
  };
}

/** Forgets an upload that takes longer than so many milliseconds. */
export function uploadsWithin(milliseconds: number, now: () => number = Date.now): Layer {
  const begun = sessionNotes<number>();
  return (next) => async (request) => {
    const session = sessionOf(request);
    if (session === undefined) return await next(request);
    const since = begun.get(session.id) ?? now();
    begun.set(session.id, since);
    if (now() - since <= milliseconds) return await next(request);
    return await refuse(request, 404, "BLOB_UPLOAD_UNKNOWN", "the upload took too long");
  };
}
