import { OcibundleError } from "../errors.ts";
import { discard } from "./message/body.ts";
import { failureError, httpFailureOf } from "./message/failure.ts";
import type { Send } from "./message/message.ts";
import { type Environment, findProxy } from "./proxy.ts";

const leaveOut = (host: string): string => `or put ${host} into NO_PROXY`;

/**
 * Tells the failures of a proxy apart from those of the registry behind it: who can't be reached, and
 * whose password is missing. Throws `usage` for a proxy that can't be used, `denied` for one that wants
 * a login, `network` with the failure that it was.
 */
export const throughProxy =
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
      // To a client of a proxy only the proxy has a name and a port: the rest happens behind it.
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
  new OcibundleError("denied", `${host}: ${name} wants a user and a password (407)`, {
    hint: `set ${variable} to http://USER:PASSWORD@HOST:PORT, ${leaveOut(host)}`,
  });
