import { connect } from "node:net";
import { setTimeout, clearTimeout } from "node:timers";
import { failureError } from "./message/failure.ts";
import { hostName } from "./message/loopback.ts";
import type { Send } from "./message/message.ts";
import { type Environment, findProxy } from "./proxy.ts";

/** When a connection is doubted; both times together are the limit. */
export interface ConnectingOptions {
  /** Names the proxy: with one, the proxy is probed. */
  env: Environment;
  /** How long a first answer may take before a connection is probed, in milliseconds. */
  doubtAfter: number;
  /** How long the probe may take to connect, in milliseconds. */
  timeout: number;
}

/**
 * Fails early for a host that swallows connections: fetch does not tell connecting from waiting, so its
 * timeout is that of a first byte. When the first answer of an origin is late, a probe connects on its
 * own; if it can't, the request fails. Costs nothing where a host answers. Throws `network`.
 */
export function connectTimeout(next: Send, { env, doubtAfter, timeout }: ConnectingOptions): Send {
  const answered = new Set<string>();

  return async (request) => {
    const { url, signal } = request;
    if (answered.has(url.origin)) return next(request);
    const proxy = findProxy(url, env);
    const noConnection = new AbortController();
    let leave: (() => void) | undefined;
    const doubt = setTimeout(() => {
      leave = tryConnection(proxy === undefined ? url : new URL(proxy.url), timeout, () => {
        const seconds = Math.round((doubtAfter + timeout) / 1000);
        noConnection.abort(
          failureError(url.host, "unconnected", { what: `no connection within ${seconds} s` }),
        );
      });
    }, doubtAfter);
    try {
      const patient = AbortSignal.any([signal, noConnection.signal]);
      const response = await next({ ...request, signal: patient });
      answered.add(url.origin);
      return response;
    } finally {
      clearTimeout(doubt);
      leave?.();
    }
  };
}

/**
 * Connects, and calls `onTimeout` when there is connection timed out. Other failures are left to fetch,
 * which meets them too. Returns a function that ends the attempt.
 */
function tryConnection(url: URL, timeout: number, onTimeout: () => void): () => void {
  const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
  const socket = connect({ host: hostName(url.host), port });
  const end = (): void => {
    clearTimeout(timer);
    socket.destroy();
  };
  const timer = setTimeout(() => {
    end();
    onTimeout();
  }, timeout);
  socket.once("connect", end);
  socket.once("error", end);
  return end;
}
