import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a scripted web server does other than it should, or seldom does. May be changed while it runs. */
export interface WebSwitches {
  noRanges?: boolean;
  noEtag?: boolean;
  weakEtag?: boolean;
  /** `Last-Modified`; long ago unless given. */
  modified?: string;
  /** Whether the length is left out: `chunked`, or `close` where only the end of the connection says it. */
  noLength?: "chunked" | "close";
  /** After how many bytes an answer breaks off; the first `times` answers of that length. */
  breakAfter?: { bytes: number; times: number };
  /** Where `/moved/` and what is below it is. */
  redirect?: string;
  /** A header that no client believes. */
  disposition?: string;
  coding?: string;
  /** Called with each request, before it is answered. */
  onRequest?: (request: IncomingMessage) => void;
}

export interface ScriptedWeb {
  close(): Promise<void>;
  origin: string;
  files: Map<string, Uint8Array>;
  switches: WebSwitches;
  seen: { url: string; range: string | undefined; headers: IncomingMessage["headers"] }[];
}

const etagOf = (bytes: Uint8Array): string =>
  `"${createHash("sha256").update(bytes).digest("hex").slice(0, 20)}"`;

/** A web server on loopback with some files. */
export async function startWeb(
  content: Readonly<Record<string, Uint8Array | string>>,
  switches: WebSwitches = {},
): Promise<ScriptedWeb> {
  const web: ScriptedWeb = {
    origin: "",
    files: new Map(Object.entries(content).map(([name, value]) => [name, Buffer.from(value)])),
    switches,
    seen: [],
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  const server = createServer((request, response) => {
    const { url = "/", headers } = request;
    web.seen.push({ url, range: headers.range, headers });
    web.switches.onRequest?.(request);
    const { pathname } = new URL(url, "http://web");
    if (pathname.startsWith("/moved/")) {
      const location = (web.switches.redirect ?? "/*").replace("*", pathname.slice(7));
      response.writeHead(302, { location }).end();
      return;
    }
    const bytes = web.files.get(decodeURIComponent(pathname.slice(1)));
    if (bytes === undefined) response.writeHead(404).end();
    else send(bytes, request, response);
  });

  function send(bytes: Uint8Array, { headers }: IncomingMessage, response: ServerResponse): void {
    const { noRanges, noEtag, weakEtag, noLength, breakAfter, disposition, coding } = web.switches;
    const size = bytes.byteLength;
    const etag = etagOf(bytes);
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "") ?? [];
    const holds = headers["if-range"] === undefined || headers["if-range"] === etag || noEtag;
    const ranged = first !== undefined && noRanges !== true && holds;
    const start = ranged ? Number(first) : 0;
    const end = ranged ? Math.min(Number(last) + 1, size) : size;
    if (ranged && start >= size) {
      response.writeHead(416, { "content-range": `bytes */${size}` }).end();
      return;
    }
    if (noLength === "close") response.useChunkedEncodingByDefault = false;
    response.writeHead(ranged ? 206 : 200, {
      ...(noLength === undefined ? { "content-length": end - start } : {}),
      ...(noLength === "close" ? { connection: "close" } : {}),
      ...(noEtag === true ? {} : { etag: weakEtag === true ? `W/${etag}` : etag }),
      "last-modified": web.switches.modified ?? "Wed, 01 Jan 2025 00:00:00 GMT",
      ...(disposition === undefined ? {} : { "content-disposition": disposition }),
      ...(coding === undefined ? {} : { "content-encoding": coding }),
      ...(ranged ? { "content-range": `bytes ${start}-${end - 1}/${size}` } : {}),
    });
    const breaks =
      breakAfter !== undefined && breakAfter.times > 0 && end - start > breakAfter.bytes;
    if (!breaks) {
      response.end(bytes.subarray(start, end));
      return;
    }
    breakAfter.times -= 1;
    response.write(bytes.subarray(start, start + breakAfter.bytes), () => response.destroy());
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  web.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return web;
}
