import { amended, OcibundleError } from "../errors.ts";
import { discard } from "./message/body.ts";
import { type FailureKind, httpFailureOf } from "./message/failure.ts";
import {
  type HttpRequest,
  type HttpResponse,
  printableUrl,
  type Send,
  withoutBound,
} from "./message/message.ts";

const maxRedirects = 10;

/** Which redirects are followed. */
export interface RedirectOptions {
  /** Throws for a redirect that is not to be followed. */
  check?: ((from: URL, to: URL) => Promise<void>) | undefined;
  /** What to do about a redirect that is refused; about a registry unless given. */
  hint?: string | undefined;
}

/**
 * Follows redirects (RFC 9110, section 15.4): a bounded number, never from https down to http (a host that names
 * itself with http is asked by https), and without what authorises when the origin changes: headers go, and a body
 * that does is not sent on. Where a body or an upload's POST is redirected only 307 and 308, which keep the method,
 * are followed.
 */
export const followRedirects =
  (next: Send, { check, hint }: RedirectOptions = {}): Send =>
  async (request) => {
    let current = request;
    for (let count = 0; ; count++) {
      const response = await next(current).catch((error: unknown) => {
        throw ofRedirect(error, request.url, current.url);
      });
      if (!isRedirect(response, current.method)) return response;
      const location = response.headers.get("location");
      await discard(response);
      const target =
        location === null || location === "" ? undefined : parse(location, response.url);
      if (target === undefined) {
        throw refuse(current.url, "redirected to an address that is not a valid URL", hint);
      }
      if (count === maxRedirects) {
        throw refuse(request.url, `redirected more than ${maxRedirects} times`, hint);
      }
      if (
        current.url.protocol === "https:" &&
        target.protocol !== "https:" &&
        !upgrade(target, current.url)
      ) {
        throw refuse(current.url, `redirected from https to ${printableUrl(target)}`, hint);
      }
      if (current.secretBody === true && target.origin !== current.url.origin) {
        throw refuse(current.url, `redirected a login to another host, ${target.host}`, hint);
      }
      await check?.(current.url, target);
      current = redirected(current, target);
    }
  };

/** What stands between this machine and a host: no fault of the server that redirects there. */
const unreachable: ReadonlySet<FailureKind | undefined> = new Set([
  "name",
  "refused",
  "unconnected",
  "timeout",
]);

/** A failure to reach a host that was redirected to, with a hint about that host and not about the first. */
function ofRedirect(error: unknown, from: URL, to: URL): unknown {
  if (from.origin === to.origin || !(error instanceof OcibundleError)) return error;
  if (!unreachable.has(httpFailureOf(error)?.kind)) return error;
  const hint = `${from.host} redirects to ${to.host}: check that this machine can reach that host, through any firewall or proxy`;
  return amended(error, { hint });
}

function isRedirect(response: HttpResponse, method: string): boolean {
  if (response.status === 307 || response.status === 308) return true;
  const followed = response.status === 301 || response.status === 302 || response.status === 303;
  return followed && (method === "GET" || method === "HEAD");
}

/**
 * A server behind a proxy that ends TLS may name itself with http: the same host is spoken to as before.
 * False for another host or port, where the target stays as it is.
 */
function upgrade(target: URL, from: URL): boolean {
  if (target.hostname !== from.hostname || (target.port !== "" && target.port !== from.port)) {
    return false;
  }
  target.protocol = from.protocol;
  target.port = from.port;
  return true;
}

function parse(location: string, base: URL): URL | undefined {
  if (!URL.canParse(location, base)) return undefined;
  const url = new URL(location, base);
  url.username = "";
  url.password = "";
  return url.protocol === "http:" || url.protocol === "https:" ? url : undefined;
}

function redirected(request: HttpRequest, url: URL): HttpRequest {
  if (url.origin === request.url.origin) return { ...request, url };
  return { ...request, url, headers: withoutBound(request.headers) };
}

const refuse = (url: URL, why: string, hint: string | undefined): OcibundleError =>
  new OcibundleError("network", `${printableUrl(url)}: ${why}`, {
    hint:
      hint ??
      `check that ${url.host} is a registry, and the configuration of any proxy in front of it`,
  });
