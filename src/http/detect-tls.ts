import { setTimeout, clearTimeout } from "node:timers";
import { connect } from "node:tls";
import { failureError, httpFailureOf, wayToHttps } from "./message/failure.ts";
import { hostName } from "./message/loopback.ts";
import type { Send } from "./message/message.ts";
import { type Environment, findProxy } from "./proxy.ts";

/** How long a host that closed the connection at once may take for its part of a handshake, in milliseconds. */
const handshakeTimeout = 2000;

/**
 * Detects a server that speaks TLS when it is asked in plain HTTP. Many of them just close the
 * connection, which looks like a failure to retry. So, while an origin has not answered yet, a closed
 * connection is followed by a TLS handshake on trial. Throws `network` when it succeeds.
 */
export function detectTls(next: Send, env: Environment): Send {
  const answered = new Set<string>();

  return async (request) => {
    const { url, signal } = request;
    try {
      const response = await next(request);
      answered.add(url.origin);
      return response;
    } catch (error) {
      const isDoubtful =
        url.protocol === "http:" &&
        !answered.has(url.origin) &&
        httpFailureOf(error)?.kind === "reset" &&
        findProxy(url, env) === undefined;
      if (!isDoubtful || signal.aborted || !(await speaksTls(url, signal))) throw error;
      throw failureError(url.host, "tls", {
        what: "the server requires HTTPS, but plain HTTP was used",
        hint: wayToHttps(url),
        cause: error,
      });
    }
  };
}

/** Whether the other side takes part in a handshake. Nothing is sent after it, so no certificate is checked. */
function speaksTls(url: URL, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const port = url.port === "" ? 80 : Number(url.port);
    const socket = connect({ host: hostName(url.host), port, rejectUnauthorized: false });
    const end = (speaks: boolean) => (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", interrupted);
      socket.destroy();
      resolve(speaks);
    };
    const interrupted = end(false);
    signal.addEventListener("abort", interrupted, { once: true });
    const timer = setTimeout(end(false), handshakeTimeout);
    socket.once("secureConnect", end(true));
    socket.once("error", end(false));
    socket.once("close", end(false));
  });
}
