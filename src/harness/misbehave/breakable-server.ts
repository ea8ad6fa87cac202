import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import type { RunningServer, ServeOptions } from "../../runtime/types.ts";

/**
 * Serves as the runtime's own server does, more slowly, and breaks a connection off where the handler
 * or the body of a response throws: what a fault needs and web servers are made to prevent.
 */
export async function serveBreakable(options: ServeOptions): Promise<RunningServer> {
  const { hostname, port, handle, tls } = options;
  const listener = (message: IncomingMessage, response: ServerResponse): void => {
    // Whatever goes wrong, the client sees a connection that ends. Of a message that was read to its end
    // Bun no longer knows the socket.
    const { socket } = message;
    answer(message, response, handle, tls !== undefined).catch(() => socket.destroy());
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.requestTimeout = 0;
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
  const answered = await handle(webRequest(message, secure, gone.signal));
  const headers: Record<string, string | string[]> = Object.fromEntries(answered.headers);
  const cookies = answered.headers.getSetCookie();
  if (cookies.length > 0) headers["set-cookie"] = cookies;
  response.writeHead(answered.status, headers);
  if (answered.body === null || message.method === "HEAD") {
    await answered.body?.cancel();
    response.end();
    return;
  }
  const reader = answered.body.getReader();
  gone.signal.addEventListener("abort", () => void reader.cancel().catch(() => undefined));
  for (;;) {
    const { done, value } = await reader.read();
    if (gone.signal.aborted) return;
    if (done) break;
    if (!response.write(value)) await drained(response, gone.signal);
  }
  response.end();
}

/** Until there is room again, or nobody there any more. */
const drained = (response: ServerResponse, gone: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (gone.aborted) return resolve();
    response.once("drain", resolve);
    gone.addEventListener("abort", () => resolve(), { once: true });
  });

function webRequest(message: IncomingMessage, secure: boolean, signal: AbortSignal): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(message.headersDistinct)) {
    for (const one of value ?? []) headers.append(name, one);
  }
  const host = headers.get("host") ?? "127.0.0.1";
  const { method = "GET", url = "/" } = message;
  const hasBody =
    headers.has("transfer-encoding") || Number(headers.get("content-length") ?? 0) > 0;
  return new Request(new URL(url, `${secure ? "https" : "http"}://${host}`), {
    method,
    headers,
    signal,
    ...(hasBody && method !== "GET" && method !== "HEAD"
      ? { body: Readable.toWeb(message) as unknown as ReadableStream, duplex: "half" }
      : {}),
  } as RequestInit);
}
