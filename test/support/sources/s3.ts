import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a scripted object store does other than it should, or seldom does. May be changed while it runs. */
export interface S3Switches {
  /** Keys that a page of a listing has, whatever is asked for. */
  pageSize?: number;
  /** Whether a listing goes on for ever with the same token. */
  endless?: boolean;
  /** Keys that are listed besides those of the objects. */
  extra?: readonly string[];
  /** Whether objects have no ETag, as files that a gateway finds on its disk. */
  noEtags?: boolean;
  /** What each object says is its version. */
  versionId?: string;
  /** Whether the store says the SHA-256 of the content. */
  checksums?: boolean;
  /** The region of the bucket: requests that are signed for another one are sent there. */
  region?: string;
  /** The access key that is asked for. */
  accessKey?: string;
  /** After how many bytes each answer with an object breaks off. */
  breakAfter?: number;
  /** Objects whose bytes have a bit flipped. */
  wrong?: readonly string[];
  /** Called with each request for a part of an object, before it is answered. */
  onPart?: (key: string) => void;
}

export interface S3RequestSeen {
  method: string;
  path: string;
  range: string | undefined;
  authorization: string | undefined;
}

export interface ScriptedS3 {
  close(): Promise<void>;
  endpoint: string;
  bucket: string;
  objects: Map<string, Uint8Array>;
  switches: S3Switches;
  seen: S3RequestSeen[];
}

const fail = (response: ServerResponse, status: number, code: string): void => {
  response.writeHead(status, { "content-type": "application/xml" });
  response.end(
    `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`,
  );
};

const etagOf = (bytes: Uint8Array): string => `"${createHash("md5").update(bytes).digest("hex")}"`;

/** An object store with one bucket on loopback. It takes any signature: versitygw is there to check them. */
export async function startS3(
  content: Readonly<Record<string, Uint8Array | string>>,
  switches: S3Switches = {},
  bucket = "models",
): Promise<ScriptedS3> {
  const objects = new Map<string, Uint8Array>(
    Object.entries(content).map(([key, value]) => [key, Buffer.from(value)]),
  );
  const seen: S3RequestSeen[] = [];
  const store: ScriptedS3 = {
    endpoint: "",
    bucket,
    objects,
    switches,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  const server = createServer((request, response) => {
    const { method = "GET", url = "/", headers } = request;
    const { range, authorization } = headers;
    seen.push({ method, path: url, range, authorization });
    const { region, accessKey } = store.switches;
    if (accessKey !== undefined && !authorization?.includes(`Credential=${accessKey}/`)) {
      return fail(
        response,
        403,
        authorization === undefined ? "AccessDenied" : "InvalidAccessKeyId",
      );
    }
    if (region !== undefined && !authorization?.includes(`/${region}/s3/`)) {
      response.writeHead(301, { "x-amz-bucket-region": region }).end();
      return;
    }
    const { pathname, searchParams } = new URL(url, "http://s3");
    const [, name = "", path = ""] = /^\/([^/]*)\/?(.*)$/s.exec(pathname) ?? [];
    if (name !== bucket) return fail(response, 404, "NoSuchBucket");
    if (path === "") return list(searchParams, response);
    send(decodeURIComponent(path), request, response);
  });

  function list(query: URLSearchParams, response: ServerResponse): void {
    const { pageSize = 1000, extra = [], endless, noEtags } = store.switches;
    const prefix = query.get("prefix") ?? "";
    const keys = [...objects.keys(), ...extra].filter((key) => key.startsWith(prefix)).toSorted();
    const from = Number(query.get("continuation-token") ?? 0);
    const most = Math.min(pageSize, Number(query.get("max-keys") ?? 1000));
    const more = endless === true || from + most < keys.length;
    const contents = keys.slice(from, from + most).map((key) => {
      const bytes = objects.get(key) ?? new Uint8Array(0);
      const etag =
        noEtags === true ? "" : `<ETag>${etagOf(bytes).replaceAll('"', "&quot;")}</ETag>`;
      const shown = encodeURIComponent(key).replaceAll("%20", "+");
      return `<Contents><Key>${shown}</Key>${etag}<Size>${bytes.byteLength}</Size></Contents>`;
    });
    const next = endless === true ? 0 : from + most;
    response.end(
      `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` +
        `<Name>${bucket}</Name><EncodingType>url</EncodingType><IsTruncated>${more}</IsTruncated>` +
        `${contents.join("")}${more ? `<NextContinuationToken>${next}</NextContinuationToken>` : ""}` +
        `</ListBucketResult>`,
    );
  }

  function send(key: string, request: IncomingMessage, response: ServerResponse): void {
    const { noEtags, checksums, versionId, wrong, breakAfter, onPart } = store.switches;
    const isHead = request.method === "HEAD";
    if (!isHead) onPart?.(key);
    let bytes = objects.get(key);
    if (bytes === undefined) return fail(response, 404, "NoSuchKey");
    const etag = etagOf(bytes);
    const wanted = request.headers["if-match"];
    if (wanted !== undefined && wanted !== etag) return fail(response, 412, "PreconditionFailed");
    const sha256 = createHash("sha256").update(bytes).digest("base64");
    if (wrong?.includes(key) === true) {
      bytes = Buffer.from(bytes);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    }
    const size = bytes.byteLength;
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    const start = first === undefined ? 0 : Number(first);
    const end = first === undefined ? size : Math.min(Number(last) + 1, size);
    response.writeHead(first === undefined ? 200 : 206, {
      "content-length": end - start,
      "last-modified": "Sun, 29 Nov 2026 06:00:00 GMT",
      ...(noEtags === true ? {} : { etag }),
      ...(versionId === undefined ? {} : { "x-amz-version-id": versionId }),
      ...(checksums === true
        ? { "x-amz-checksum-sha256": sha256, "x-amz-checksum-type": "FULL_OBJECT" }
        : {}),
      ...(first === undefined ? {} : { "content-range": `bytes ${start}-${end - 1}/${size}` }),
    });
    if (isHead) response.end();
    else if (breakAfter === undefined || end - start <= breakAfter) {
      response.end(bytes.subarray(start, end));
    } else {
      response.write(bytes.subarray(start, start + breakAfter), () => response.destroy());
    }
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  store.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return store;
}
