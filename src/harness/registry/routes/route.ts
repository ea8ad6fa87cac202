import { type Digest, isDigest } from "../../../oci/digest.ts";
import { isRepositoryName } from "../../../oci/reference.ts";
import { Refusal } from "./refusal.ts";

/** What a path of the API names (distribution-spec v1.1, endpoints). */
export type Route =
  | { resource: "base" }
  | { resource: "catalog" }
  | { resource: "blob"; repository: string; digest: Digest }
  | { resource: "uploads"; repository: string }
  | { resource: "upload"; repository: string; id: string }
  /** `reference` is a tag or a digest; whether it is a right one depends on the method. */
  | { resource: "manifest"; repository: string; reference: string }
  | { resource: "tags"; repository: string }
  | { resource: "referrers"; repository: string; digest: Digest };

/**
 * Reads a URL's path. Undefined where the API has nothing.
 * Throws `NAME_INVALID` and `DIGEST_INVALID` where the path's form is right but a part of it is not.
 */
export function parseRoute(pathname: string): Route | undefined {
  const path = decoded(pathname);
  if (path === "/v2" || path === "/v2/") return { resource: "base" };
  if (path === "/v2/_catalog") return { resource: "catalog" };
  // Greedy: a repository may have parts called "blobs" and "manifests" itself.
  const match =
    /^\/v2\/(?<name>.+)\/(?:(?<uploads>blobs\/uploads)\/?|blobs\/uploads\/(?<id>[^/]+)|(?<kind>blobs|manifests|tags|referrers)\/(?<last>[^/]+))$/.exec(
      path,
    )?.groups;
  const repository = match?.["name"];
  if (match === undefined || repository === undefined) return undefined;
  const { uploads, id, kind, last = "" } = match;
  if (kind === "tags" && last !== "list") return undefined;
  if (!isRepositoryName(repository)) {
    throw new Refusal(400, {
      code: "NAME_INVALID",
      message: "the repository name is invalid",
      detail: { name: repository },
    });
  }
  if (uploads !== undefined) return { resource: "uploads", repository };
  if (id !== undefined) return { resource: "upload", repository, id };
  if (kind === "tags") return { resource: "tags", repository };
  if (kind === "manifests") return { resource: "manifest", repository, reference: last };
  const digest = digestPart(last);
  return { resource: kind === "blobs" ? "blob" : "referrers", repository, digest };
}

/** A digest that a client named. Throws `DIGEST_INVALID`. */
export function digestPart(text: string): Digest {
  if (isDigest(text)) return text;
  throw new Refusal(400, {
    code: "DIGEST_INVALID",
    message: "the digest is malformed, or its algorithm is neither sha256 nor sha512",
    detail: { digest: text },
  });
}

/** Some clients send `sha256%3A…`. */
function decoded(pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return pathname;
  }
}
