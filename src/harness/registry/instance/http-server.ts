import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { inTurn } from "../../../flow/in-turn.ts";
import { readDirectly } from "../storage/body-reader.ts";
import { type RequestBody, requestBody } from "./request-body.ts";
import { releaseBytes } from "../../../runtime/release-bytes.ts";

/** Where an HTTP server listens, and what answers. */
export interface ServeOptions {
  /** The address to listen on: `127.0.0.1`. */
  hostname: string;
  /** 0 for any free port. */
  port: number;
  handle(request: Request): Promise<Response>;
  /** PEM texts; plain HTTP without them. */
  tls?: { cert: string; key: string };
}

/** A server that takes connections. */
export interface RunningServer {
  hostname: string;
  port: number;
  /** Stops listening and closes what is open. */
  stop(): Promise<void>;
}

/** Requests of one connection that are not answered yet: the runtime reads them all. With more, it is closed. */
const mostWaiting = 1000;

/**
 * Serves HTTP/1.1 until stopped. Bodies are streamed both ways with no limit and no idle timeout. Requests
 * that come before an earlier one is answered wait for their turn; Bun's own server closes the connection
 * then. Where the handler or the body of a response throws, the connection breaks off.
 */
export async function serveHttp(options: ServeOptions): Promise<RunningServer> {
  const { hostname, port, handle, tls } = options;
  const turns = inTurn<Socket>(mostWaiting);
  const listener = (message: IncomingMessage, response: ServerResponse): void => {
    // Of a message that was read to its end Bun no longer knows the socket.
    const { socket } = message;
    // In turn, and not only the answers: a GET may ask for what the PUT before it brings.
    const answered = turns.run(socket, async () => {
      if (!socket.destroyed) await answer(message, response, handle, tls !== undefined);
    });
    // Whatever goes wrong, the client sees a connection that ends.
    if (answered === undefined) socket.destroy();
    else answered.catch(() => void socket.destroy());
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.requestTimeout = 0;
  // Closed while idle, a connection breaks under a client that is just using it again.
  server.keepAliveTimeout = 0;
  server.listen(port, hostname);
  await once(server, "listening");
  const address = server.address() as AddressInfo;
  return {
    hostname: address.address,
    port: address.port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  message: IncomingMessage,
  response: ServerResponse,
  handle: ServeOptions["handle"],
  secure: boolean,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  response.on("error", () => gone.abort());
  const body = hasBody(message) ? requestBody(message) : undefined;
  try {
    await send(await handle(webRequest(message, secure, gone.signal, body)), response, gone.signal);
  } finally {
    // A client that is still sending looks for the answer only then.
    body?.discard();
  }
}

async function send(
  answered: Response,
  response: ServerResponse,
  gone: AbortSignal,
): Promise<void> {
  const isHead = response.req.method === "HEAD";
  const headers: Record<string, string | string[]> = Object.fromEntries(answered.headers);
  const cookies = answered.headers.getSetCookie();
  if (cookies.length > 0) headers["set-cookie"] = cookies;
  if (answered.body === null && !isHead && answered.status !== 204) {
    headers["content-length"] ??= "0";
  }
  response.writeHead(answered.status, headers);
  if (answered.body === null || isHead) {
    await answered.body?.cancel();
    response.end();
    return;
  }
  const reader = answered.body.getReader();
  const cancel = (): void => void reader.cancel().catch(() => undefined);
  if (gone.aborted) return cancel();
  gone.addEventListener("abort", cancel, { once: true });
  for (;;) {
    const { done, value } = await reader.read();
    if (gone.aborted) return;
    if (done) break;
    if (!response.write(value, () => releaseBytes(value))) await drained(response, gone);
  }
  response.end();
}

/** Until there is room again, or nobody there any more. */
const drained = (response: ServerResponse, gone: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (gone.aborted) return resolve();
    // Both are taken off again: a large body waits many thousand times.
    const end = (): void => {
      response.off("drain", end);
      gone.removeEventListener("abort", end);
      resolve();
    };
    response.once("drain", end);
    gone.addEventListener("abort", end, { once: true });
  });

const hasBody = ({ method, headers }: IncomingMessage): boolean =>
  method !== "GET" &&
  method !== "HEAD" &&
  (headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0);

/** A body for those who want a stream: it is read when that is. */
function streamOf({ read, discard }: RequestBody): ReadableStream<Uint8Array> {
  let goOn: (() => void) | undefined;
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (goOn !== undefined) return goOn();
        goOn = () => undefined;
        read((chunk) => {
          controller.enqueue(chunk);
          return new Promise((resolve) => (goOn = resolve));
        }).then(
          () => controller.close(),
          (error: unknown) => controller.error(error),
        );
      },
      cancel: discard,
    },
    // None is read ahead.
    { highWaterMark: 0 },
  );
}

function webRequest(
  message: IncomingMessage,
  secure: boolean,
  signal: AbortSignal,
  body: RequestBody | undefined,
): Request {
  const { method = "GET", url = "/", rawHeaders } = message;
  const headers = new Headers();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    headers.append(rawHeaders[at] ?? "", rawHeaders[at + 1] ?? "");
  }
  const host = headers.get("host") ?? "127.0.0.1";
  const request = new Request(new URL(url, `${secure ? "https" : "http"}://${host}`), {
    method,
    headers,
    signal,
    ...(body === undefined ? {} : { body: streamOf(body), duplex: "half" }),
  } as RequestInit);
  return body === undefined ? request : readDirectly(request, body.read);
}
