import { connect } from "node:net";
import { setTimeout, clearTimeout } from "node:timers";
import { failureError } from "./message/failure.ts";
import { hostName } from "./message/loopback.ts";
import type { Send } from "./message/message.ts";
import { type Environment, findProxy } from "./proxy.ts";

export interface ConnectingOptions {
  env: Environment;
  /** How long a first answer may take before it is asked whether anybody is there, in milliseconds. */
  doubtAfter: number;
  /** How long a connection may take then, in milliseconds. */
  connectTimeout: number;
}

/**
 * Gives a host up that swallows connections, long before the first byte of its answer is due: fetch does
 * not tell connecting from waiting. While no answer has come from an origin, and the first one is late, a
 * connection of its own is tried. Costs nothing where a host answers. Throws `network`.
 */
export function giveUpConnecting(
  next: Send,
  { env, doubtAfter, connectTimeout }: ConnectingOptions,
): Send {
  const answered = new Set<string>();

  return async (request) => {
    const { url, signal } = request;
    if (answered.has(url.origin)) return next(request);
    const proxy = findProxy(url, env);
    const noConnection = new AbortController();
    let leave: (() => void) | undefined;
    const doubt = setTimeout(() => {
      leave = tryConnection(proxy === undefined ? url : new URL(proxy.url), connectTimeout, () => {
        const seconds = Math.round((doubtAfter + connectTimeout) / 1000);
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

/** Connects, and tells when there is no connection in time. What fails otherwise fails fetch too. Returns what ends it. */
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
