import { isDigest, matchesDigest, digestOf, type Digest } from "../../../oci/digest.ts";
import { isTag } from "../../../oci/reference.ts";
import { blobBody } from "./blob-body.ts";
import { checkManifest } from "./manifest-check.ts";
import { readManifestBody } from "./manifest-body.ts";
import { Refusal } from "./refusal.ts";
import { empty, type Registry, type RegistryRequest, type RouteTo } from "./request.ts";
import { digestPart } from "./route.ts";

/** `GET` and `HEAD /v2/<name>/manifests/<tag or digest>`: the bytes and the type as they were pushed. */
export async function getManifest(
  { repository, reference }: RouteTo<"manifest">,
  { storage }: Registry,
  { request }: RegistryRequest,
): Promise<Response> {
  const digest = isDigest(reference)
    ? reference
    : await taggedDigest(repository, reference, storage);
  const found = digest && (await storage.manifests.find(repository, digest));
  if (digest === undefined || found === undefined) throw unknownManifest(reference);
  const headers = {
    "Content-Type": found.mediaType,
    "Content-Length": String(found.size),
    "Docker-Content-Digest": digest,
    ETag: `"${digest}"`,
  };
  if (request.method === "HEAD") return new Response(null, { headers });
  const whole = { start: 0, end: found.size };
  return new Response(blobBody(storage.content.path(digest), whole), { headers });
}

const taggedDigest = async (
  repository: string,
  reference: string,
  { tags }: Registry["storage"],
): Promise<Digest | undefined> =>
  isTag(reference) ? await tags.find(repository, reference) : undefined;

/**
 * `PUT /v2/<name>/manifests/<tag or digest>` (distribution-spec v1.1, pushing manifests). Everything it
 * names must be there first. By digest, `?tag=` names tags to be made with it.
 */
export async function putManifest(
  { repository, reference }: RouteTo<"manifest">,
  { storage, sparse }: Registry,
  { request, query }: RegistryRequest,
): Promise<Response> {
  const wanted = isDigest(reference) ? reference : query.get("digest");
  const tags = isDigest(reference) ? query.getAll("tag") : [reference];
  for (const tag of tags) requireTag(tag);
  const bytes = await readManifestBody(request);
  const digest = wanted === null ? digestOf(bytes) : digestPart(wanted);
  if (!matchesDigest(bytes, digest)) {
    throw new Refusal(400, {
      code: "DIGEST_INVALID",
      message: "the manifest does not match the digest",
      detail: { digest },
    });
  }
  const checked = await checkManifest(
    { bytes, digest, contentType: request.headers.get("Content-Type") },
    repository,
    storage,
    sparse,
  );
  await storage.manifests.put(repository, { digest, bytes, ...checked });
  for (const tag of tags) await storage.tags.put(repository, tag, digest);
  const response = empty(201, {
    Location: `/v2/${repository}/manifests/${reference}`,
    "Docker-Content-Digest": digest,
    ...(checked.referrer && { "OCI-Subject": checked.referrer.subject }),
  });
  if (isDigest(reference)) for (const tag of tags) response.headers.append("OCI-Tag", tag);
  return response;
}

function requireTag(tag: string): void {
  if (isTag(tag)) return;
  throw new Refusal(400, {
    code: "MANIFEST_INVALID",
    message: "the reference is neither a tag nor a digest",
    detail: { reference: tag },
  });
}

/** `DELETE /v2/<name>/manifests/<tag or digest>`: the tag alone, or the manifest with all its tags. */
export async function deleteManifest(
  { repository, reference }: RouteTo<"manifest">,
  { storage }: Registry,
): Promise<Response> {
  if (!isDigest(reference)) {
    if (isTag(reference) && (await storage.tags.remove(repository, reference))) {
      return empty(202, {});
    }
    throw unknownManifest(reference);
  }
  await storage.tags.removeAllOf(repository, reference);
  if (await storage.manifests.remove(repository, reference)) return empty(202, {});
  throw unknownManifest(reference);
}

const unknownManifest = (reference: string): Refusal =>
  new Refusal(404, {
    code: "MANIFEST_UNKNOWN",
    message: "the manifest does not exist in the repository",
    detail: { reference },
  });
