import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { errno, OcibundleError } from "../errors.ts";
import { inTurn } from "../flow/in-turn.ts";

/** How long a client may take, in milliseconds. */
export interface Patience {
  /** To send a whole request, from its connection or from its last answer on. */
  request: number;
  /** To take anything of what is being sent to it. */
  reading: number;
}

/** Where the server listens, and what it takes. */
export interface ListenOptions {
  /** An IP address of this machine. */
  address: string;
  /** 0 for any free one. */
  port: number;
  /** More are refused at once. */
  maxConnections: number;
  patience: Patience;
  handle(message: IncomingMessage, response: ServerResponse): Promise<void>;
}

/** A server that takes connections. */
export interface Listening {
  address: string;
  port: number;
  connections(): number;
  /** Takes no more connections, waits for what is being answered until `signal` is aborted, and closes all. */
  close(signal: AbortSignal): Promise<void>;
}

/**
 * Requests of one connection that are not answered yet: the runtime reads all that a client sends ahead. With
 * more, it is closed.
 */
const mostWaiting = 100;

/** How long a client that was told that it sends no request may take to read that, in milliseconds. */
const refusalMilliseconds = 500;

/**
 * A server over `node:http`: it keeps a target as it was sent, sends a stream with a length, and can cut a
 * connection in the middle of an answer, which the runtimes' own servers can't. Bun knows no timeouts for it:
 * they are kept here. Throws `conflict` for an address that is in use, `usage` for one that can't be used.
 */
export async function listen(options: ListenOptions): Promise<Listening> {
  const { address, port, maxConnections, patience, handle } = options;
  const sockets = new Set<Socket>();
  const timers = new WeakMap<Socket, ReturnType<typeof setTimeout>>();
  // Answers that nobody takes yet would be in memory all at once.
  const turns = inTurn<Socket>(mostWaiting);
  /** Connections that were told that what they send is no request. */
  const refused = new WeakSet<object>();
  let busy = 0;
  let closing = false;
  let onIdle: (() => void) | undefined;
  const disarm = (socket: Socket): void => clearTimeout(timers.get(socket));
  const arm = (socket: Socket): void => {
    disarm(socket);
    const timer = setTimeout(() => socket.destroy(), patience.request);
    timer.unref();
    timers.set(socket, timer);
  };
  const idle = (socket: Socket): void => {
    if (closing) socket.end();
    else arm(socket);
  };
  const server = createServer((message, response) => {
    const { socket } = message;
    disarm(socket);
    busy += 1;
    if (closing) response.setHeader("Connection", "close");
    let ended = false;
    const end = (): void => {
      if (ended) return;
      ended = true;
      busy -= 1;
      if (turns.waiting(socket) === 0) idle(socket);
      if (busy === 0) onIdle?.();
    };
    response.once("close", end);
    const answered = turns.run(socket, async () => {
      if (!socket.destroyed) await handle(message, response);
    });
    // Whatever goes wrong, the client sees a connection that ends.
    (answered ?? Promise.reject(new Error("too many pipelined requests")))
      .catch(() => socket.destroy())
      .finally(() => {
        if (socket.destroyed) end();
        else if (ended && turns.waiting(socket) === 0) idle(socket);
      });
  });
  server.on("connection", (socket) => {
    if (sockets.size >= maxConnections || closing) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      sockets.delete(socket);
      disarm(socket);
    });
    arm(socket);
  });
  server.on("clientError", (error, socket) => {
    // Behind the head of an answer it would be taken for bytes of a file.
    const isFree = turns.waiting(socket as Socket) === 0 && socket.writable;
    if (isFree && !refused.has(socket)) {
      refused.add(socket);
      socket.end(malformed(error));
      setTimeout(() => socket.destroy(), refusalMilliseconds).unref();
    } else if (!isFree) socket.destroy();
  });
  // Two timeouts of Node's own, which would end slow bodies and idle connections in other ways.
  server.requestTimeout = 0;
  server.keepAliveTimeout = patience.request;
  const listening = once(server, "listening");
  server.listen({ port, host: address, backlog: 511 });
  try {
    await listening;
  } catch (cause) {
    throw unlistenable(address, port, cause);
  }
  const bound = server.address() as AddressInfo;
  return {
    address: bound.address,
    port: bound.port,
    connections: () => sockets.size,
    async close(signal) {
      closing = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      if (busy > 0) {
        await new Promise<void>((resolve) => {
          onIdle = resolve;
          if (signal.aborted) resolve();
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 200))]);
    },
  };
}

/** The answer to what is no request: a client that is only told that its connection is closed asks again. */
function malformed(error: Error): string {
  const isLarge = errno(error) === "HPE_HEADER_OVERFLOW";
  const status = isLarge ? "431 Request Header Fields Too Large" : "400 Bad Request";
  const message = isLarge ? "the path and headers are too long" : "this is not an HTTP/1.1 request";
  const body = JSON.stringify({ error: message });
  const headers = {
    "content-type": "application/json; charset=utf-8",
    "content-length": String(body.length),
    "x-error-message": message,
    connection: "close",
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status}\r\n${lines.join("")}\r\n${body}`;
}

function unlistenable(address: string, port: number, cause: unknown): OcibundleError {
  const code = errno(cause);
  const on = `cannot listen on ${address}:${port}`;
  if (code === "EADDRINUSE") {
    const hint = "choose another port with --listen; port 0 selects a free port";
    return new OcibundleError("conflict", `${on}: the port is in use`, { hint, cause });
  }
  if (code === "EACCES") {
    const hint = "choose a port above 1023 with --listen";
    return new OcibundleError("system", `${on}: permission denied`, { hint, cause });
  }
  const hint = "use an address of this machine with --listen, such as 127.0.0.1:8086";
  const why = code === "EADDRNOTAVAIL" ? "this machine does not have the address" : code;
  return new OcibundleError("usage", `${on}: ${why ?? "it cannot be used"}`, { hint, cause });
}
