import { type Digest, digestAlgorithm } from "../../../oci/digest.ts";
import { isRepositoryName } from "../../../oci/reference.ts";
import { chunkRange } from "./range.ts";
import { Refusal } from "./refusal.ts";
import { empty, type Registry, type RegistryRequest, type RouteTo } from "./request.ts";
import { digestPart } from "./route.ts";
import { bodyReader } from "../storage/body-reader.ts";
import type { UploadSession } from "../storage/upload-sessions.ts";

/**
 * `POST /v2/<name>/blobs/uploads/` (distribution-spec v1.1, pushing blobs): a mount, a whole blob in one
 * request, or a session for the requests to come.
 */
export async function startUpload(
  { repository }: RouteTo<"uploads">,
  registry: Registry,
  { request, query }: RegistryRequest,
): Promise<Response> {
  const { storage, minChunkLength } = registry;
  const mount = query.get("mount");
  if (mount !== null) {
    const digest = digestPart(mount);
    if (await canMount(registry, digest, query.get("from"))) {
      if (await storage.blobs.link(repository, digest)) return created(repository, digest);
    }
  }
  const wanted = query.get("digest");
  const digest = wanted === null ? undefined : digestPart(wanted);
  const algorithm = query.get("digest-algorithm");
  if (digest !== undefined) {
    const session = storage.uploads.createUnnamed(repository, digestAlgorithm(digest));
    return await writing(registry, repository, session, async () => {
      try {
        await receive(registry, session, request, { isLast: true });
        return await finish(registry, repository, session, digest);
      } catch (error) {
        // Nobody knows of it: what broke off can't go on.
        await storage.uploads.remove(session);
        throw error;
      }
    });
  }
  const session = await storage.uploads.create(
    repository,
    algorithm === "sha512" ? algorithm : "sha256",
  );
  return empty(202, {
    ...sessionHeaders(repository, session),
    ...(minChunkLength === undefined ? {} : { "OCI-Chunk-Min-Length": String(minChunkLength) }),
  });
}

/** With `from`, that repository must have it; without, any may (distribution-spec v1.1, mounting). */
async function canMount(
  { storage }: Registry,
  digest: Digest,
  from: string | null,
): Promise<boolean> {
  if (from === null || from === "") return true;
  return isRepositoryName(from) && (await storage.blobs.size(from, digest)) !== undefined;
}

/** How long the question how far an upload is waits for a request that is writing to it, in milliseconds. */
const settleTime = 2000;

/**
 * `GET` of a session: how much of the blob has arrived. Whoever asks has often just lost the connection
 * that brought it, and what came through that one may still be on its way to the disk.
 */
export async function uploadStatus(
  route: RouteTo<"upload">,
  registry: Registry,
): Promise<Response> {
  const session = await findSession(route, registry);
  await registry.storage.uploads.whenFree(session, settleTime);
  return new Response(null, { status: 204, headers: sessionHeaders(route.repository, session) });
}

/** `PATCH` of a session: a chunk in its order, or, without `Content-Range`, a stream. */
export async function appendUpload(
  route: RouteTo<"upload">,
  registry: Registry,
  { request }: RegistryRequest,
): Promise<Response> {
  const session = await findSession(route, registry);
  return await writing(registry, route.repository, session, async () => {
    await receive(registry, session, request, { isLast: false });
    return empty(202, sessionHeaders(route.repository, session));
  });
}

/** `PUT` of a session with `?digest=`: the end of the upload, its last bytes perhaps with it. */
export async function finishUpload(
  route: RouteTo<"upload">,
  registry: Registry,
  { request, query }: RegistryRequest,
): Promise<Response> {
  const digest = digestPart(query.get("digest") ?? "");
  const session = await findSession(route, registry);
  return await writing(registry, route.repository, session, async () => {
    await receive(registry, session, request, { isLast: true });
    return await finish(registry, route.repository, session, digest);
  });
}

/** `DELETE` of a session. */
export async function cancelUpload(
  route: RouteTo<"upload">,
  registry: Registry,
): Promise<Response> {
  const session = await findSession(route, registry);
  return await writing(registry, route.repository, session, async () => {
    await registry.storage.uploads.remove(session);
    return new Response(null, { status: 204 });
  });
}

async function findSession(
  { repository, id }: RouteTo<"upload">,
  { storage }: Registry,
): Promise<UploadSession> {
  const session = await storage.uploads.find(repository, id);
  if (session !== undefined) return session;
  throw new Refusal(404, {
    code: "BLOB_UPLOAD_UNKNOWN",
    message: "the upload does not exist or has ended",
    detail: { id },
  });
}

/** Runs what only one request at a time may do with a session. */
async function writing(
  { storage }: Registry,
  repository: string,
  session: UploadSession,
  work: () => Promise<Response>,
): Promise<Response> {
  const release = storage.uploads.claim(session);
  if (release === undefined) {
    throw new Refusal(
      409,
      { code: "BLOB_UPLOAD_INVALID", message: "another request is writing to this upload" },
      sessionHeaders(repository, session),
    );
  }
  try {
    return await work();
  } finally {
    release();
  }
}

/**
 * Takes in a request's body, after what `Content-Range` and `Content-Length` say was checked. Only the last
 * chunk may be shorter than the registry's minimum, so nothing may follow one that is. A chunk that broke
 * off is none of those: what comes next completes it. `isLast`: nothing follows a body that came whole.
 */
async function receive(
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

async function finish(
  { storage }: Registry,
  repository: string,
  session: UploadSession,
  digest: Digest,
): Promise<Response> {
  const matches = await storage.uploads.check(session, digest);
  if (matches) {
    await storage.blobs.adopt(repository, digest, session.path);
    storage.uploads.forget(session);
    return created(repository, digest);
  }
  await storage.uploads.remove(session);
  throw new Refusal(400, {
    code: "DIGEST_INVALID",
    message: "the received content does not match the digest",
    detail: { digest, size: session.size },
  });
}

const created = (repository: string, digest: Digest): Response =>
  empty(201, {
    Location: `/v2/${repository}/blobs/${digest}`,
    "Docker-Content-Digest": digest,
  });

const sessionHeaders = (repository: string, session: UploadSession): Record<string, string> => ({
  Location: `/v2/${repository}/blobs/uploads/${session.id}`,
  "Docker-Upload-UUID": session.id,
  ...receivedHeader(session),
});

/** The spec has no way to say "no bytes", and what clients know for it is `0-0`. */
const receivedHeader = (session: UploadSession): Record<string, string> => ({
  Range: `0-${Math.max(0, session.size - 1)}`,
});
