import { OcibundleError } from "../errors.ts";
import { repositoryScope } from "../http/message/scope.ts";
import { isDigest } from "../oci/digest.ts";
import { maxManifestBytes } from "../oci/document.ts";
import type { RawManifest } from "../oci/manifest.ts";
import { membersOf } from "../oci/manifest-members.ts";
import { isIndexType } from "../oci/media-types.ts";
import { type Api, type ApiRequest, command } from "./api.ts";
import { manifestUrl, manifestThing, isKept } from "./manifests.ts";

/** Registries ask their storage for each layer, one after the other; more than these take their time. */
const fewLayers = 100;
/** In milliseconds. */
const manifestWait = { least: 60_000, layer: 200 } as const;

/** How long a registry may take to answer to a manifest with many layers. */
function patience(manifest: RawManifest, on: string): Pick<ApiRequest, "firstByteTimeout"> {
  if (isIndexType(manifest.mediaType)) return {};
  const { length } = membersOf(manifest, on).layers;
  if (length <= fewLayers) return {};
  return { firstByteTimeout: manifestWait.least + manifestWait.layer * length };
}

/**
 * Puts manifest bytes under a tag or their digest. Resolves to the answer's headers. Throws `file` for more bytes than
 * registries accept, `integrity` where other bytes were stored, and as `request`.
 */
export async function putManifest(
  api: Api,
  repository: string,
  tagOrDigest: string,
  manifest: RawManifest,
  signal: AbortSignal,
): Promise<Headers> {
  const thing = manifestThing(tagOrDigest);
  if (manifest.bytes.byteLength > maxManifestBytes) {
    throw new OcibundleError(
      "file",
      `${thing} has ${manifest.bytes.byteLength} bytes; registries accept at most ${maxManifestBytes}`,
      { subject: `${api.host}/${repository}` },
    );
  }
  const { headers } = await command(api, {
    method: "PUT",
    url: manifestUrl(api, repository, tagOrDigest),
    headers: { "content-type": manifest.mediaType },
    body: {
      size: manifest.bytes.byteLength,
      make: () => Promise.resolve(new Uint8Array(manifest.bytes)),
    },
    repository,
    scopes: [repositoryScope(repository, "pull", "push")],
    accept: [200, 201, 202, 204],
    ...patience(manifest, thing),
    thing,
    signal,
  });
  const stored = headers.get("docker-content-digest");
  const differs = stored !== null && isDigest(stored) && stored !== manifest.digest;
  if (differs && !(await isKept(api, repository, manifest, signal))) {
    throw new OcibundleError(
      "integrity",
      `the registry stored ${stored} in place of ${thing} (${manifest.digest})`,
      { subject: `${api.host}/${repository}` },
    );
  }
  return headers;
}
