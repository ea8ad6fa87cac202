import { OcibundleError } from "../errors.ts";
import { repositoryScope } from "../http/message/scope.ts";
import { discard } from "../http/message/body.ts";
import { codingNames } from "../http/message/content-coding.ts";
import { failureError } from "../http/message/failure.ts";
import type { HttpResponse } from "../http/message/message.ts";
import type { ByteRange } from "../oci/content.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, matchesDigest } from "../oci/digest.ts";
import { type Api, type ApiRequest, apiUrl, command, request } from "./api.ts";
import { codedBlob, isMisread } from "./coded-blob.ts";
import { formatRange, parseContentRange } from "./content-range.ts";
import { RegistryRefusal, refusalOf } from "./refusal.ts";
import type { BlobAnswer } from "./types.ts";

const blobUrl = (api: Api, repository: string, digest: Digest): URL =>
  apiUrl(api, `${repository}/blobs/${digest}`);

/** What a registry, or a proxy before it, answers where it takes no HEAD: a GET may go well. */
const headRefused: readonly number[] = [400, 403, 405, 406, 501];

/** A blob of up to so many bytes is read where nothing else tells that it is there. */
const maxReadToTell = 1024 * 1024;

/**
 * `HEAD` of a blob: its size in bytes, or undefined when there is none. Where HEAD is refused or fails, or
 * says no length or another than `expected`, a `GET` of one byte decides: proxies drop the length or make it 0.
 * A blob that is there, and whose size nobody tells, has the `expected` one. An answer with no length, no
 * range and no digest can be any page: then the bytes decide. Throws `network` where they don't match.
 */
export async function headBlob(
  api: Api,
  repository: string,
  digest: Digest,
  signal: AbortSignal,
  expected?: number,
): Promise<number | undefined> {
  const asked = {
    url: blobUrl(api, repository, digest),
    repository,
    scopes: [repositoryScope(repository, "pull")],
    thing: `blob ${digest}`,
    signal,
  };
  const { status, headers } = await tryHead(api, asked);
  if (status === 404) return undefined;
  const size = status === 200 ? readSize(headers.get("content-length")) : undefined;
  if (
    size !== undefined &&
    (expected === undefined ? size > 0 && codingNames(headers).length === 0 : size === expected)
  )
    return size;
  const answer = await command(api, {
    ...asked,
    method: "GET",
    headers: { range: formatRange({ start: 0, end: 1 }) },
    accept: [200, 206, 404, 416],
  });
  if (answer.status === 404) return undefined;
  const total = sizeOf(answer);
  // Only an empty blob has no first byte.
  if (answer.status === 416 && (total ?? size ?? 0) === 0) return 0;
  // A server that is no registry answers anything with 200, and may compress it: without a size, a range or
  // the digest, only the bytes show that the blob is there.
  const isTold =
    total !== undefined ||
    answer.status !== 200 ||
    [headers, answer.headers].some((of) => of.get("docker-content-digest") === digest);
  const known = total ?? expected ?? size;
  const isThere =
    isTold ||
    (known !== undefined && (await hasBytes(api, repository, { digest, size: known }, signal)));
  if (known !== undefined && isThere) return known;
  throw failureError(`${api.host}/${repository}`, "protocol", {
    what: `the registry does not report the size of blob ${digest}`,
    hint: `check that ${api.host} is a registry`,
  });
}

type Asked = Omit<ApiRequest, "method" | "accept">;

/**
 * The answer to a `HEAD`; status 0 stands for one that failed where a `GET` may go well, which is then the
 * one that is tried again: some servers fail at every HEAD.
 */
export async function tryHead(
  api: Api,
  asked: Asked,
): Promise<{ status: number; headers: Headers }> {
  const accept = [200, 404, ...headRefused];
  try {
    return await command(api, { ...asked, method: "HEAD", accept, repeatable: "limited" });
  } catch (error) {
    asked.signal.throwIfAborted();
    const isFinal = [401, 429].includes(refusalOf(error)?.status ?? 0);
    if (isFinal || !(error instanceof OcibundleError) || error.code === "denied") throw error;
    return { status: 0, headers: new Headers() };
  }
}

/** Whether a small blob can be read and has the bytes of its digest. */
async function hasBytes(
  api: Api,
  repository: string,
  { digest, size }: { digest: Digest; size: number },
  signal: AbortSignal,
): Promise<boolean> {
  if (size > maxReadToTell) return false;
  const descriptor = { mediaType: "application/octet-stream", digest, size };
  const read = async (): Promise<boolean> => {
    const { body } = await getBlob(api, repository, descriptor, undefined, signal);
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of body) {
      length += chunk.byteLength;
      if (length > size) return false;
      chunks.push(chunk);
    }
    return matchesDigest(Buffer.concat(chunks), digest);
  };
  try {
    return await read();
  } catch (error) {
    if (!isMisread(error)) throw error;
    return read();
  }
}

/** The whole blob's size, in bytes, as an answer to a request for its first byte tells it. */
function sizeOf({ status, headers }: HttpResponse): number | undefined {
  const range = headers.get("content-range");
  // What is compressed on its way has another size.
  if (status !== 416 && codingNames(headers).length > 0) return undefined;
  if (status === 206) return parseContentRange(range)?.total;
  if (status === 416) return readSize(/^bytes +\*\/(\d+)$/i.exec(range?.trim() ?? "")?.[1] ?? null);
  return readSize(headers.get("content-length"));
}

/** A blob of more bytes may take long to begin with. */
const largeBlob = 4 * 1024 ** 3;

/** How long its first byte may take, in milliseconds, besides the time for reading all of it. */
const largeBlobWait = 60_000;

/** The rate at which a registry is expected to read it, in bytes a millisecond. */
const slowestCheck = 200 * 1024;

/**
 * `GET` of a blob or of a part of it; see {@link BlobAnswer}. Throws `integrity` for another size, and as `request`.
 */
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
    // Some read all of a blob, to check its digest, before they send any of it.
    ...(size > largeBlob ? { firstByteTimeout: largeBlobWait + size / slowestCheck } : {}),
    thing: `blob ${digest}`,
    signal,
  });
  const body = response.body ?? new Response("").body;
  if (body === null) throw new TypeError("a response without a body has an empty one");
  const { headers } = response;
  const labelled = codingNames(headers).length > 0;
  const length = lengthOf(response);
  if (response.status === 200) {
    if (labelled) {
      const told = { headers, length, descriptor, known: api.codings, name };
      return { range: { start: 0, end: size }, body: await codedBlob(body, told) };
    }
    if (length !== undefined && length !== size) {
      await discard(response);
      throw new OcibundleError(
        "integrity",
        `${name}: the registry has ${length} bytes, the descriptor has ${size}`,
      );
    }
    return { range: { start: 0, end: size }, body };
  }
  const got = parseContentRange(headers.get("content-range"));
  const refuse = (what: string, why: string): OcibundleError => {
    void response.body?.cancel().catch(() => undefined);
    return new OcibundleError("network", `${name}: the registry sent ${what}`, {
      cause: new RegistryRefusal(206, [], why),
    });
  };
  if (range === undefined || got === undefined || !same(got.range, range)) {
    const why = "the Content-Range of the response is not the requested one";
    throw refuse("a range that was not requested", why);
  }
  // A range of compressed bytes is of no use; of one that is only labelled the length is right.
  if (labelled && (length !== range.end - range.start || (got.total ?? size) !== size)) {
    throw refuse("a compressed range", "the range is of the compressed blob");
  }
  // The header may be the one that is wrong: the whole blob shows whether the registry has other bytes.
  if (got.total !== undefined && got.total !== size) {
    throw refuse(
      `a range of ${got.total} bytes, the descriptor has ${size}`,
      "the Content-Range of the response names another size than the blob's",
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
