import * as v from "valibot";
import { OcibundleError } from "../errors.ts";
import { repositoryScope } from "../http/message/scope.ts";
import { AnnotationsSchema, type Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { parseDocument } from "../oci/document.ts";
import { goObject } from "../oci/go-object.ts";
import { type IndexEntries, parseIndexEntries, unreadableText } from "../oci/index-entries.ts";
import { digestOfSubject, type RawManifest, SubjectSchema } from "../oci/manifest.ts";
import { isIndexType, mediaTypes } from "../oci/media-types.ts";
import { referrersTag, referrersTags } from "../oci/referrers-tag.ts";
import { type Api, apiUrl } from "./api.ts";
import { getManifest } from "./manifests.ts";
import { putManifest } from "./put-manifest.ts";
import { pages } from "./pages.ts";

/** What of a manifest its referrers entry is made from. */
const ReferrerSchema = goObject({
  artifactType: v.optional(v.string()),
  config: v.optional(goObject({ mediaType: v.optional(v.string()) })),
  annotations: v.optional(AnnotationsSchema),
  subject: v.optional(SubjectSchema),
});

/** More referrers of one manifest than this are not read: real ones have some dozens. */
const maxEntries = 2000;

/**
 * What refers to a manifest, by the referrers API, or by the tag that stands in for it: where a registry
 * has no API, or the API knows of none, since what was pushed before there was one may only be there.
 * Filtered by `artifactType` here too: registries need not. An entry that can't be read is told to `onPassed`;
 * without it, it ends the list. Throws what keeps the list from being read.
 */
export async function listReferrers(
  api: Api,
  repository: string,
  digest: Digest,
  artifactType: string | undefined,
  signal: AbortSignal,
  onPassed?: (message: string) => void,
): Promise<Descriptor[]> {
  const thing = `list of referrers of ${digest}`;
  const on = `${api.host}/${repository}: ${thing}`;
  const list = pages(api, {
    method: "GET",
    url: apiUrl(
      api,
      `${repository}/referrers/${digest}`,
      artifactType === undefined ? {} : { artifactType },
    ),
    headers: { accept: mediaTypes.ociIndex },
    repository,
    scopes: [repositoryScope(repository, "pull")],
    accept: [200, 400, 404, 405, 406, 501],
    thing,
    signal,
  });
  const found: Descriptor[] = [];
  let passed = 0;
  const add = ({ index, unreadable }: IndexEntries): void => {
    found.push(...index.manifests);
    passed += unreadable.length;
    const text = unreadableText(unreadable);
    if (text === undefined) return;
    if (onPassed === undefined) throw new OcibundleError("network", `${on}: ${text}`);
    onPassed(`${on}: ${text}`);
  };
  let first = true;
  for await (const { response, bytes } of list) {
    // Without the API a registry may answer 404, or a page of its own with 200.
    const index = response.status === 200 ? parseIndex(bytes, on) : undefined;
    if (index === undefined && !first) {
      throw new OcibundleError("network", `${on}: the list of referrers is not valid`);
    }
    if (index === undefined) break;
    add(index);
    if (found.length + passed > maxEntries) {
      throw new OcibundleError("file", `${on} has more than ${maxEntries} entries`, {
        hint: "delete unneeded referrers",
      });
    }
    first = false;
  }
  if (found.length === 0) {
    for (const tag of referrersTags(digest)) {
      const index = await readReferrersTag(api, repository, tag, signal);
      if (index !== "other" && index !== undefined) add(index);
    }
  }
  return artifactType === undefined
    ? found
    : found.filter((entry) => entry.artifactType === artifactType);
}

/** The entries of a page; undefined for what is no list at all. Throws `network` for a list that can't be read. */
function parseIndex(bytes: Uint8Array, on: string): IndexEntries | undefined {
  try {
    return parseIndexEntries(bytes, on, "network");
  } catch (error) {
    if (hasEntries(bytes)) throw error;
    return undefined;
  }
}

const ListSchema = goObject({ manifests: v.array(v.unknown()) });

/** Whether a document lists something, whatever else is wrong with it. */
function hasEntries(bytes: Uint8Array): boolean {
  try {
    return parseDocument(bytes, ListSchema, "referrers").manifests.length > 0;
  } catch {
    return false;
  }
}

async function readReferrersTag(
  api: Api,
  repository: string,
  tag: string,
  signal: AbortSignal,
): Promise<IndexEntries | "other" | undefined> {
  try {
    const { bytes, mediaType } = await getManifest(api, repository, tag, signal);
    // An image may be tagged with its own digest.
    if (!isIndexType(mediaType)) return "other";
    return parseIndexEntries(bytes, `${api.host}/${repository}:${tag}`, "network");
  } catch (error) {
    if (error instanceof OcibundleError && error.code === "not_found") return undefined;
    throw error;
  }
}

/**
 * Keeps the referrers tag after a manifest with a `subject` was put on a registry that did not say
 * `OCI-Subject` (distribution-spec v1.1, "Pushing Manifests with Subject"). Throws `conflict` where another manifest
 * has that tag, and as `request`.
 */
export async function keepReferrersTag(
  api: Api,
  repository: string,
  manifest: RawManifest,
  answer: Headers,
  signal: AbortSignal,
): Promise<void> {
  if (answer.get("oci-subject") !== null) return;
  const on = `${api.host}/${repository}: manifest ${manifest.digest}`;
  const { subject, artifactType, config, annotations } = parseDocument(
    manifest.bytes,
    ReferrerSchema,
    on,
  );
  const about = digestOfSubject(subject, on);
  if (about === undefined) return;
  const tag = referrersTag(about);
  const known = await readReferrersTag(api, repository, tag, signal);
  if (known === "other") {
    throw new OcibundleError(
      "conflict",
      `${on}: tag "${tag}" is needed for the list of referrers, but is used by another manifest`,
      { hint: "delete that tag" },
    );
  }
  if (known?.index.manifests.some(({ digest }) => digest === manifest.digest) === true) return;
  const type = artifactType ?? config?.mediaType;
  const entry: Descriptor = {
    mediaType: manifest.mediaType,
    digest: manifest.digest,
    size: manifest.bytes.byteLength,
    ...(type === undefined ? {} : { artifactType: type }),
    ...(annotations === undefined ? {} : { annotations }),
  };
  const bytes = new TextEncoder().encode(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [
        ...(known?.index.manifests ?? []),
        // Of others, and not for this program to judge.
        ...(known?.unreadable ?? []).map(({ value }) => value),
        entry,
      ],
    }),
  );
  const index = { mediaType: mediaTypes.ociIndex, digest: digestOf(bytes), bytes };
  await putManifest(api, repository, tag, index, signal);
}
