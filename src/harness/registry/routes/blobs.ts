import { blobBody } from "./blob-body.ts";
import { downloadRange } from "./range.ts";
import { Refusal } from "./refusal.ts";
import { empty, type Registry, type RegistryRequest, type RouteTo } from "./request.ts";

/** `GET` and `HEAD /v2/<name>/blobs/<digest>`, whole or one range of it (distribution-spec v1.1, pulling blobs). */
export async function getBlob(
  { repository, digest }: RouteTo<"blob">,
  { storage }: Registry,
  { request }: RegistryRequest,
): Promise<Response> {
  const size = await storage.blobs.size(repository, digest);
  if (size === undefined) throw unknownBlob(digest);
  const headers = {
    "Docker-Content-Digest": digest,
    "Content-Type": "application/octet-stream",
    "Accept-Ranges": "bytes",
  };
  const whole = { ...headers, "Content-Length": String(size) };
  if (request.method === "HEAD") return new Response(null, { headers: whole });
  const range = downloadRange(request.headers.get("Range"), size);
  if (range === "unsatisfiable") {
    throw new Refusal(
      416,
      { code: "SIZE_INVALID", message: "the range is outside the blob", detail: { size } },
      { "Content-Range": `bytes */${size}` },
    );
  }
  const path = storage.content.path(digest);
  if (range === undefined) {
    return new Response(blobBody(path, { start: 0, end: size }), { headers: whole });
  }
  return new Response(blobBody(path, range), {
    status: 206,
    headers: {
      ...headers,
      "Content-Length": String(range.end - range.start),
      "Content-Range": `bytes ${range.start}-${range.end - 1}/${size}`,
    },
  });
}

/** `DELETE /v2/<name>/blobs/<digest>`: from this repository; others that have the blob keep it. */
export async function deleteBlob(
  { repository, digest }: RouteTo<"blob">,
  { storage }: Registry,
): Promise<Response> {
  if (!(await storage.blobs.remove(repository, digest))) throw unknownBlob(digest);
  return empty(202, { "Docker-Content-Digest": digest });
}

const unknownBlob = (digest: string): Refusal =>
  new Refusal(404, {
    code: "BLOB_UNKNOWN",
    message: "the blob does not exist in the repository",
    detail: { digest },
  });
