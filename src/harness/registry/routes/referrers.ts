import { mediaTypes } from "../../../oci/media-types.ts";
import { jsonResponse } from "./json-response.ts";
import { page } from "./page.ts";
import type { Registry, RegistryRequest, RouteTo } from "./request.ts";

/** Descriptors in one answer, so that it stays below the size of a manifest. */
const pageLength = 1000;

/**
 * `GET /v2/<name>/referrers/<digest>` (distribution-spec v1.1, listing referrers): an image index, empty
 * where nothing refers to the digest, whether or not that is there itself.
 */
export async function listReferrers(
  { repository, digest }: RouteTo<"referrers">,
  { storage }: Registry,
  { url, query }: RegistryRequest,
): Promise<Response> {
  const artifactType = query.get("artifactType");
  const all = await storage.manifests.referrers(repository, digest);
  const wanted =
    artifactType === null ? all : all.filter((referrer) => referrer.artifactType === artifactType);
  const { entries, headers } = page(
    wanted,
    { n: pageLength, last: query.get("last") ?? undefined },
    url.pathname,
    (referrer) => referrer.digest,
    (a, b) => (a < b ? -1 : Number(a > b)),
    artifactType === null ? {} : { artifactType },
  );
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: entries };
  return jsonResponse(index, {
    headers: {
      ...headers,
      "Content-Type": mediaTypes.ociIndex,
      ...(artifactType === null ? {} : { "OCI-Filters-Applied": "artifactType" }),
    },
  });
}
