import { OcibundleError } from "../../../src/errors.ts";
import type {
  HttpEvent,
  HttpRequest,
  RequestBody,
  Send,
} from "../../../src/http/message/message.ts";
import type { Clock } from "../../../src/retry/clock.ts";
import { transport, type TransportOptions } from "../../../src/http/transport.ts";
import { runtime } from "../../../src/runtime/current.ts";

export const never = new AbortController().signal;

/** What a scripted server was asked. */
export interface SeenRequest {
  method: string;
  /** Path and query. */
  path: string;
  headers: Headers;
  body: Uint8Array;
}

export interface ScriptedServer extends AsyncDisposable {
  origin: string;
  host: string;
  seen: SeenRequest[];
}

/** A server on loopback that answers as a test says; `count` is the number of the request, from 1. */
export function serve(
  answer: (request: SeenRequest, count: number) => Response | Promise<Response>,
): ScriptedServer {
  const seen: SeenRequest[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const url = new URL(request.url);
      const entry = {
        method: request.method,
        path: url.pathname + url.search,
        headers: request.headers,
        body: await request.bytes(),
      };
      seen.push(entry);
      return answer(entry, seen.length);
    },
  });
  return {
    origin: `http://127.0.0.1:${server.port}`,
    host: `127.0.0.1:${server.port}`,
    seen,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

/** A server below HTTP: each request's bytes are answered with bytes, or the connection is cut. */
export function serveBytes(answer: (socket: Bun.Socket, head: string) => void): ScriptedServer {
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket, data) => answer(socket, data.toString("latin1")) },
  });
  return {
    origin: `http://127.0.0.1:${server.port}`,
    host: `127.0.0.1:${server.port}`,
    seen: [],
    async [Symbol.asyncDispose]() {
      server.stop(true);
      await Promise.resolve();
    },
  };
}

export interface RecordedClock extends Clock {
  /** Every pause asked for, in milliseconds. */
  pauses: number[];
  /** Moves the clock on. */
  advance(milliseconds: number): void;
}

/** A clock that stands still but for the pauses, which take no time. */
export function recordedClock(): RecordedClock {
  let now = Date.UTC(2026, 1, 2, 10);
  const pauses: number[] = [];
  return {
    pauses,
    now: () => now,
    random: () => 0.5,
    async sleep(milliseconds, signal) {
      signal.throwIfAborted();
      pauses.push(milliseconds);
      now += milliseconds;
      await Promise.resolve();
    },
    advance(milliseconds) {
      now += milliseconds;
    },
  };
}

export function recordedEvents(): { events: HttpEvent[]; emit: (event: HttpEvent) => void } {
  const events: HttpEvent[] = [];
  return { events, emit: (event) => events.push(event) };
}

/** The bottom of the client with limits short enough for a test. */
export const bottom = (options: Partial<TransportOptions> = {}): Send =>
  transport({
    userAgent: "ocibundle/test",
    env: {},
    connection: (wanted) => runtime.connection(wanted),
    pausesTls: runtime.pausesTls,
    tls: () => Promise.resolve(undefined),
    firstByteTimeout: 5000,
    idleTimeout: 5000,
    ...options,
  });

export const get = (url: string, more: Partial<HttpRequest> = {}): HttpRequest => ({
  method: "GET",
  url: new URL(url),
  headers: {},
  repeatable: "always",
  scopes: [],
  signal: never,
  ...more,
});

export const textOf = async (body: ReadableStream<Uint8Array> | undefined): Promise<string> =>
  body === undefined ? "" : new Response(body).text();

/** The recipe of a body that can't be made. */
export const brokenBody = (size: number): RequestBody => ({
  size,
  make: () => Promise.reject(new OcibundleError("integrity", "the file changed")),
});
