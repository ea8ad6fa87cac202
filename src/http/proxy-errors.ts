import { OcibundleError } from "../errors.ts";
import { discard } from "./message/body.ts";
import { failureError, httpFailureOf } from "./message/failure.ts";
import type { Send } from "./message/message.ts";
import { type Environment, findProxy } from "./proxy.ts";

const leaveOut = (host: string): string => `or add ${host} to NO_PROXY`;

/**
 * Names the proxy in errors that it causes, so that they are not taken for errors of the registry behind
 * it. Throws `usage` for a proxy that can't be used, `denied` for one that requires a login, `network`
 * with the original failure otherwise.
 */
export const proxyErrors =
  (next: Send, env: Environment): Send =>
  async (request) => {
    const proxy = findProxy(request.url, env);
    if (proxy === undefined) return next(request);
    const { host } = request.url;
    const name = `the proxy ${new URL(proxy.url).host} (${proxy.variable})`;
    try {
      const response = await next(request);
      if (response.status !== 407) return response;
      await discard(response);
      throw wantsLogin(host, name, proxy.variable);
    } catch (error) {
      const failure = httpFailureOf(error);
      if (failure === undefined) throw error;
      const { kind, retryAfter } = failure;
      if (failure.proxyStatus === 407) throw wantsLogin(host, name, proxy.variable);
      // The client resolves and connects to the proxy only; the proxy does the rest.
      const own = ["name", "refused", "unconnected", "proxy"].includes(kind);
      throw failureError(host, kind, {
        what: own ? `${name}: ${failure.message}` : `${failure.message}, through ${name}`,
        hint: own
          ? `check ${proxy.variable}, ${leaveOut(host)}`
          : error instanceof OcibundleError
            ? error.hint
            : undefined,
        retryAfter,
        cause: failure.cause,
      });
    }
  };

const wantsLogin = (host: string, name: string, variable: string): OcibundleError =>
  new OcibundleError("denied", `${name} requires a username and password (407)`, {
    subject: host,
    hint: `set ${variable} to http://USER:PASSWORD@HOST:PORT, ${leaveOut(host)}`,
  });
