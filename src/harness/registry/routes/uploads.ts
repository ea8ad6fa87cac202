import { type Digest, digestAlgorithm } from "../../../oci/digest.ts";
import { isRepositoryName } from "../../../oci/reference.ts";
import { Refusal } from "./refusal.ts";
import { empty, type Registry, type RegistryRequest, type RouteTo } from "./request.ts";
import { digestPart } from "./route.ts";
import type { UploadSession } from "../storage/upload-sessions.ts";
import { receiveBody, receivedHeader } from "./upload-body.ts";

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
        await receiveBody(registry, session, request, { isLast: true });
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
    await receiveBody(registry, session, request, { isLast: false });
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
    await receiveBody(registry, session, request, { isLast: true });
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
