import { OcibundleError } from "../errors.ts";
import { repositoryScope } from "../http/message/scope.ts";
import type { HttpResponse } from "../http/message/message.ts";
import { type Digest, isDigest } from "../oci/digest.ts";
import { type Api, type ApiRequest, apiUrl, command } from "./api.ts";
import { headBlob, readSize } from "./blobs.ts";
import { parseUploadRange } from "./content-range.ts";
import { resolveLocation, withDigest } from "./location.ts";
import type { StartedUpload, UploadBody, UploadSession } from "./types.ts";

/** What ending an upload may take at least, in milliseconds: the registry may read all of it again. */
const finishTimeout = 5 * 60_000;

/** What is not more than this, in bytes, takes a registry no time to check. */
const quicklyChecked = 64 * 1024;

/** The rate at which a registry is expected to do so, in bytes a millisecond. */
const slowestCheck = 16 * 1024;

/** Giving an upload up is worth this long, in milliseconds. */
const cancelTimeout = 5000;

/** Statuses of success: the specification's 202, 201 and 204, and what registries answer in their place. */
const done = [200, 201, 202, 204];

type Mount = { digest: Digest; from?: string };

/** `POST` of an upload, with `mount` asking for the blob of another repository first. */
export async function startUpload(
  api: Api,
  repository: string,
  { mount }: { mount?: Mount },
  signal: AbortSignal,
): Promise<StartedUpload> {
  if (mount === undefined) return openSession(api, repository, undefined, signal);
  try {
    return await openSession(api, repository, mount, signal);
  } catch (error) {
    // A registry that refuses to mount takes the blob itself; one that is out of reach does not.
    if (signal.aborted || !(error instanceof OcibundleError)) throw error;
    const started = await openSession(api, repository, undefined, signal);
    return started.mounted ? started : { ...started, refused: true };
  }
}

/**
 * `POST` of an upload with all of a blob (distribution-spec v1.1, "Single POST"), which a registry need not support: it
 * opens a session then, which is given up. Resolves to whether the blob is stored.
 */
export async function postBlob(
  api: Api,
  repository: string,
  digest: Digest,
  body: UploadBody,
  signal: AbortSignal,
): Promise<boolean> {
  const response = await command(api, {
    method: "POST",
    url: withDigest(apiUrl(api, `${repository}/blobs/uploads/`), digest),
    headers: { "content-type": "application/octet-stream" },
    body,
    repository,
    scopes: [repositoryScope(repository, "pull", "push")],
    accept: [201, 202],
    repeatable: "asked",
    // With a tiny one it is found out whether the registry answers at all.
    ...(body.size > quicklyChecked ? { firstByteTimeout: endTimeout(api, body.size) } : {}),
    thing: `blob ${digest}`,
    signal,
  });
  const { status, headers, url } = response;
  if (status === 201) {
    await checkStored(api, repository, { digest, size: body.size }, response, signal);
    return true;
  }
  const location = resolveLocation(headers.get("location"), url, `${api.host}/${repository}`);
  void uploadSession(api, repository, location, undefined).cancel();
  return false;
}

/** How long the answer to the end of an upload of so many bytes may take, in milliseconds. */
const endTimeout = (api: Api, size: number): number =>
  (api.finishTimeout ?? finishTimeout) + size / slowestCheck;

/** Throws `integrity` where the answer to the end of an upload names another blob, and this one is not there. */
async function checkStored(
  api: Api,
  repository: string,
  { digest, size }: { digest: Digest; size: number },
  { headers }: HttpResponse,
  signal: AbortSignal,
): Promise<void> {
  const stored = headers.get("docker-content-digest");
  if (stored === null || !isDigest(stored) || stored === digest) return;
  // The header may be the one that is wrong: then the blob is there.
  if ((await headBlob(api, repository, digest, signal, size)) === size) return;
  throw new OcibundleError(
    "integrity",
    `the registry stored ${stored} in place of blob ${digest}`,
    { subject: `${api.host}/${repository}` },
  );
}

async function openSession(
  api: Api,
  repository: string,
  mount: Mount | undefined,
  signal: AbortSignal,
): Promise<StartedUpload> {
  const from = mount?.from;
  const response = await command(api, {
    method: "POST",
    url: apiUrl(api, `${repository}/blobs/uploads/`, {
      ...(mount === undefined ? {} : { mount: mount.digest }),
      ...(from === undefined ? {} : { from }),
    }),
    repository,
    scopes: [
      repositoryScope(repository, "pull", "push"),
      ...(from === undefined || from === repository ? [] : [repositoryScope(from, "pull")]),
    ],
    accept: mount === undefined ? [202] : [201, 202],
    thing: mount === undefined ? "an upload" : `a mount of blob ${mount.digest}`,
    signal,
  });
  if (response.status === 201) return { mounted: true };
  const { headers, url } = response;
  const location = resolveLocation(headers.get("location"), url, `${api.host}/${repository}`);
  const minimum = readSize(headers.get("oci-chunk-min-length"));
  return { mounted: false, session: uploadSession(api, repository, location, minimum) };
}

/** A session at a location, new or kept from another run. */
export function uploadSession(
  api: Api,
  repository: string,
  at: URL,
  minimumChunk: number | undefined,
): UploadSession {
  let location = at;
  /** What the registry is known to have, in bytes. */
  let known = 0;

  const send = async (
    options: Pick<ApiRequest, "method" | "accept" | "signal" | "thing"> & Partial<ApiRequest>,
  ): Promise<HttpResponse> => {
    const response = await command(api, {
      url: location,
      repository,
      scopes: [repositoryScope(repository, "pull", "push")],
      // What came of a body is seen by asking the session, so the caller decides.
      repeatable: "asked",
      ...options,
    });
    const next = response.headers.get("location");
    // The answer to the end of an upload says where the blob is.
    if (next !== null && options.method !== "PUT") {
      location = resolveLocation(next, response.url, `${api.host}/${repository}`);
    }
    return response;
  };

  const patch = async (
    body: UploadBody,
    range: { start: number } | undefined,
    signal: AbortSignal,
  ): Promise<number> => {
    const start = range?.start ?? known;
    const end = start + body.size;
    const response = await send({
      method: "PATCH",
      headers: {
        "content-type": "application/octet-stream",
        ...(range === undefined ? {} : { "content-range": `${start}-${end - 1}` }),
      },
      body,
      accept: done,
      thing: range === undefined ? "an upload's bytes" : `bytes ${start}-${end - 1} of an upload`,
      signal,
    });
    known = parseUploadRange(response.headers.get("range"), end) ?? end;
    return known;
  };

  return {
    get location() {
      return location.href;
    },
    minimumChunk,
    patchChunk: (start, body, signal) => patch(body, { start }, signal),
    patchAll: (body, signal) => patch(body, undefined, signal),

    async finish(digest, body, signal) {
      const size = known + (body?.size ?? 0);
      const response = await send({
        method: "PUT",
        url: withDigest(location, digest),
        headers: body === undefined ? {} : { "content-type": "application/octet-stream" },
        body,
        accept: done,
        firstByteTimeout: endTimeout(api, size),
        thing: `blob ${digest}`,
        signal,
      });
      await checkStored(api, repository, { digest, size }, response, signal);
    },

    async offset(signal) {
      const response = await send({
        method: "GET",
        accept: [...done, 404],
        repeatable: "always",
        thing: "an upload's state",
        signal,
      });
      if (response.status === 404) return undefined;
      // A session that does not say where it is can't be gone on with.
      const has = parseUploadRange(response.headers.get("range"), known);
      known = has ?? known;
      return has;
    },

    async cancel() {
      const signal = AbortSignal.timeout(cancelTimeout);
      await send({
        method: "DELETE",
        accept: [...done, 404],
        repeatable: "never",
        thing: "an upload",
        signal,
      }).catch(() => undefined);
    },
  };
}
