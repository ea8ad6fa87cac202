import { OcibundleError } from "../errors.ts";
import { repositoryScope } from "../http/message/scope.ts";
import { discard } from "../http/message/body.ts";
import { failureError } from "../http/message/failure.ts";
import type { HttpResponse } from "../http/message/message.ts";
import type { ByteRange } from "../oci/content.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { type Api, apiUrl, command, request } from "./api.ts";
import { formatRange, parseContentRange } from "./content-range.ts";
import { RegistryRefusal } from "./refusal.ts";
import type { BlobAnswer } from "./types.ts";

const blobUrl = (api: Api, repository: string, digest: Digest): URL =>
  apiUrl(api, `${repository}/blobs/${digest}`);

/** `HEAD` of a blob: its size in bytes, or undefined when there is none. */
export async function headBlob(
  api: Api,
  repository: string,
  digest: Digest,
  signal: AbortSignal,
): Promise<number | undefined> {
  const asked = {
    url: blobUrl(api, repository, digest),
    repository,
    scopes: [repositoryScope(repository, "pull")],
    thing: `blob ${digest}`,
    signal,
  };
  const { status, headers } = await command(api, { ...asked, method: "HEAD", accept: [200, 404] });
  if (status === 404) return undefined;
  const size = readSize(headers.get("content-length"));
  if (size !== undefined) return size;
  // Something on the way took the length: a range of one byte tells it too.
  const answer = await command(api, {
    ...asked,
    method: "GET",
    headers: { range: formatRange({ start: 0, end: 1 }) },
    accept: [200, 206, 404, 416],
  });
  if (answer.status === 404) return undefined;
  const total =
    answer.status === 206
      ? parseContentRange(answer.headers.get("content-range"))?.total
      : readSize(answer.headers.get("content-length"));
  if (total !== undefined) return total;
  throw failureError(`${api.host}/${repository}`, "protocol", {
    what: `the registry does not tell the size of blob ${digest}`,
    hint: `check that ${api.host} is a registry`,
  });
}

/** `GET` of a blob or of a part of it; see {@link BlobAnswer}. */
export async function getBlob(
  api: Api,
  repository: string,
  descriptor: Descriptor,
  range: ByteRange | undefined,
  signal: AbortSignal,
): Promise<BlobAnswer> {
  const { digest, size } = descriptor;
  const name = `${api.host}/${repository}: blob ${digest}`;
  const response = await request(api, {
    method: "GET",
    url: blobUrl(api, repository, digest),
    headers: {
      accept: "application/octet-stream, */*",
      ...(range === undefined ? {} : { range: formatRange(range) }),
    },
    repository,
    scopes: [repositoryScope(repository, "pull")],
    accept: range === undefined ? [200] : [200, 206],
    large: true,
    thing: `blob ${digest}`,
    signal,
  });
  const body = response.body ?? new Response("").body;
  if (body === null) throw new TypeError("an answer without a body has an empty one");
  if (response.status === 200) {
    const length = response.headers.get("content-encoding") === null ? lengthOf(response) : size;
    if (length !== undefined && length !== size) {
      await discard(response);
      throw new OcibundleError(
        "integrity",
        `${name}: the registry has ${length} bytes of it, its descriptor says ${size}`,
      );
    }
    return { range: { start: 0, end: size }, body };
  }
  const got = parseContentRange(response.headers.get("content-range"));
  if (range === undefined || got === undefined || !same(got.range, range)) {
    void response.body?.cancel().catch(() => undefined);
    throw new OcibundleError("network", `${name}: the registry sent another range than asked for`, {
      cause: new RegistryRefusal(206, [], "the answer's Content-Range is not the one asked for"),
    });
  }
  if (got.total !== undefined && got.total !== size) {
    void response.body?.cancel().catch(() => undefined);
    throw new OcibundleError(
      "integrity",
      `${name}: the registry has ${got.total} bytes of it, its descriptor says ${size}`,
    );
  }
  return { range, body };
}

const same = (a: ByteRange, b: ByteRange): boolean => a.start === b.start && a.end === b.end;

const lengthOf = (response: HttpResponse): number | undefined =>
  readSize(response.headers.get("content-length"));

/** A `Content-Length`, or undefined for what is none. */
export const readSize = (text: string | null): number | undefined =>
  text !== null && /^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text))
    ? Number(text)
    : undefined;
