import * as v from "valibot";
import { OcibundleError } from "../errors.ts";
import { repositoryScope } from "../http/message/scope.ts";
import { readCapped } from "../http/message/body.ts";
import type { HttpResponse } from "../http/message/message.ts";
import { type Descriptor, MediaTypeSchema } from "../oci/descriptor.ts";
import { type Digest, digestOf, isDigest, matchesDigest } from "../oci/digest.ts";
import { maxReadManifestBytes, parseGoJson, TooMuchJson } from "../oci/document.ts";
import type { RawManifest } from "../oci/manifest.ts";
import { manifestTypeOf, unsupported } from "../oci/manifest-members.ts";
import { acceptManifests, essenceOf, isGenericType, isSchema1Type } from "../oci/media-types.ts";
import { type Api, type ApiRequest, apiUrl, request } from "./api.ts";
import { readSize, tryHead } from "./blobs.ts";

/** The URL of a manifest. Tags and digests are safe in a path as they are; what is neither must not lead elsewhere. */
export const manifestUrl = (api: Api, repository: string, tagOrDigest: string): URL =>
  apiUrl(api, `${repository}/manifests/${encodeURIComponent(tagOrDigest).replace("%3A", ":")}`);

/** For messages: `manifest "v1"`, `manifest sha256:ab…`. */
export const manifestThing = (tagOrDigest: string): string =>
  isDigest(tagOrDigest) ? `manifest ${tagOrDigest}` : `manifest "${tagOrDigest}"`;

const read = (
  api: Api,
  repository: string,
  tagOrDigest: string,
  signal: AbortSignal,
): Omit<ApiRequest, "method" | "accept"> => ({
  url: manifestUrl(api, repository, tagOrDigest),
  headers: { accept: acceptManifests },
  repository,
  scopes: [repositoryScope(repository, "pull")],
  thing: manifestThing(tagOrDigest),
  signal,
});

/** What a tag or digest stands for, or undefined when there is none. */
export async function headManifest(
  api: Api,
  repository: string,
  tagOrDigest: string,
  signal: AbortSignal,
): Promise<Descriptor | undefined> {
  const asked = read(api, repository, tagOrDigest, signal);
  const { status, headers } = await tryHead(api, asked);
  if (status === 404) return undefined;
  const size = readSize(headers.get("content-length"));
  const digest = headers.get("docker-content-digest");
  const mediaType = contentType(headers);
  if (
    status === 200 &&
    size !== undefined &&
    size > 0 &&
    digest !== null &&
    isDigest(digest) &&
    // A digest other than the one asked for can't be right.
    (digest === tagOrDigest || !isDigest(tagOrDigest)) &&
    mediaType !== undefined &&
    !isGenericType(mediaType)
  ) {
    return { mediaType, digest, size };
  }
  // What the head leaves out, the bytes tell.
  const response = await request(api, {
    ...asked,
    method: "GET",
    accept: [200, 404],
    maxDocument: maxReadManifestBytes,
  });
  if (response.status === 404) {
    await response.body?.cancel().catch(() => undefined);
    return undefined;
  }
  const manifest = await readManifest(api, repository, tagOrDigest, response, signal);
  return {
    mediaType: manifest.mediaType,
    digest: manifest.digest,
    size: manifest.bytes.byteLength,
  };
}

/** The manifest's bytes, checked against the digest asked for, or the one the registry names. */
export async function getManifest(
  api: Api,
  repository: string,
  tagOrDigest: string,
  signal: AbortSignal,
): Promise<RawManifest> {
  const asked = read(api, repository, tagOrDigest, signal);
  const response = await request(api, {
    ...asked,
    method: "GET",
    accept: [200],
    maxDocument: maxReadManifestBytes,
  });
  return readManifest(api, repository, tagOrDigest, response, signal);
}

async function readManifest(
  api: Api,
  repository: string,
  tagOrDigest: string,
  response: HttpResponse,
  signal: AbortSignal,
): Promise<RawManifest> {
  const on = `${api.host}/${repository}: ${manifestThing(tagOrDigest)}`;
  const bytes = await readCapped(response, maxReadManifestBytes, on);
  const named = response.headers.get("docker-content-digest");
  let expected: Digest | undefined = isDigest(tagOrDigest)
    ? tagOrDigest
    : named !== null && isDigest(named)
      ? named
      : undefined;
  // A page in place of a manifest is told apart from damage: the way out is another.
  const said = contentType(response.headers);
  if (!isManifest(bytes, said)) {
    throw new OcibundleError("network", `${on}: the response is not a manifest`, {
      hint: `check that ${api.host} is a registry`,
    });
  }
  const mediaType = manifestTypeOf(bytes, said, on);
  // The digest of a signed manifest of schema 1 is that of a part of it.
  if (mediaType !== undefined && isSchema1Type(mediaType)) throw unsupported(on, mediaType);
  if (expected !== undefined && !matchesDigest(bytes, expected)) {
    // By tag the header may be the one that is wrong: then the registry has these bytes by their digest.
    const own = digestOf(bytes);
    const kept =
      !isDigest(tagOrDigest) && (await isKept(api, repository, { digest: own, bytes }, signal));
    if (!kept) {
      throw new OcibundleError(
        "integrity",
        `${on}: the received content does not match digest ${expected}`,
        {
          hint: "try again; if it fails again, a proxy may be altering the content",
        },
      );
    }
    expected = own;
  }
  if (mediaType === undefined) {
    throw new OcibundleError("network", `${on}: the registry sent no media type`);
  }
  return { mediaType, digest: expected ?? digestOf(bytes), bytes };
}

/** Whether the registry has a manifest with these bytes under their digest, whatever its headers say. */
export async function isKept(
  api: Api,
  repository: string,
  { digest, bytes }: Pick<RawManifest, "digest" | "bytes">,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const kept = await getManifest(api, repository, digest, signal);
    return kept.bytes.byteLength === bytes.byteLength;
  } catch (error) {
    if (error instanceof OcibundleError && ["not_found", "integrity"].includes(error.code)) {
      return false;
    }
    throw error;
  }
}

/** Members that tell a manifest from a page: other kinds of manifests are known by their media type. */
const manifestMembers = [
  "schemaVersion",
  "mediaType",
  "config",
  "layers",
  "blobs",
  "fsLayers",
  "manifests",
];

function isManifest(bytes: Uint8Array, said: string | undefined): boolean {
  try {
    const json: unknown = parseGoJson(bytes);
    if (typeof json !== "object" || json === null || Array.isArray(json)) return false;
    return (
      manifestMembers.some((name) => Object.hasOwn(json, name)) ||
      said?.startsWith("application/vnd.") === true
    );
  } catch (error) {
    // Whoever parses it says so.
    return error instanceof TooMuchJson;
  }
}

/** The media type without its parameters, or undefined. */
function contentType(headers: Headers): string | undefined {
  const result = v.safeParse(MediaTypeSchema, essenceOf(headers.get("content-type") ?? ""));
  return result.success ? result.output : undefined;
}
