import { errno, OcibundleError, causeOf, causesOf } from "../../errors.ts";
import { isLoopback } from "./loopback.ts";

/** Why no whole answer came. */
export type FailureKind =
  /** The name has no address. */
  | "name"
  /** Nothing listens, or the network has no way there. */
  | "refused"
  /** No connection in time. */
  | "unconnected"
  /** No first byte in time. */
  | "timeout"
  /** The body stopped. */
  | "stalled"
  /** The connection broke. */
  | "reset"
  /** The certificate or the handshake. */
  | "tls"
  /** A proxy on the way did not connect. */
  | "proxy"
  /** A server on the way (a token server) answered with a status that may pass. */
  | "status"
  /** What is no HTTP, or an answer against the rules of this client. */
  | "protocol";

/** The cause inside a `network` error: what a retry policy decides by. */
export class HttpFailure extends Error {
  readonly kind: FailureKind;
  /** What the server asked to wait, in milliseconds. */
  readonly retryAfter: number | undefined;
  /** What a proxy answered in place of connecting. */
  readonly proxyStatus: number | undefined;
  /** Of TLS: whether the handshake just broke off, as where a server starts, and no certificate is at fault. */
  readonly brokeOff: boolean;

  constructor(
    kind: FailureKind,
    message: string,
    details: {
      retryAfter?: number | undefined;
      proxyStatus?: number | undefined;
      brokeOff?: boolean | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.retryAfter = details.retryAfter;
    this.proxyStatus = details.proxyStatus;
    this.brokeOff = details.brokeOff ?? false;
  }
}

/** The failure inside an error, or undefined when it is of another kind. */
export const httpFailureOf = (error: unknown): HttpFailure | undefined =>
  causeOf(error, HttpFailure);

const kinds: Readonly<Record<string, FailureKind>> = {
  ENOTFOUND: "name",
  EAI_AGAIN: "name",
  ECONNREFUSED: "refused",
  ConnectionRefused: "refused",
  FailedToOpenSocket: "refused",
  EHOSTUNREACH: "refused",
  ENETUNREACH: "refused",
  EADDRNOTAVAIL: "refused",
  ENOENT: "refused",
  ETIMEDOUT: "timeout",
  ECONNRESET: "reset",
  ConnectionClosed: "reset",
  EPIPE: "reset",
  EPROTO: "tls",
  ERR_PROXY_TUNNEL: "proxy",
};

const says: Readonly<Record<FailureKind, string>> = {
  name: "could not resolve the host name",
  refused: "connection refused",
  unconnected: "connection timed out",
  timeout: "no response in time",
  stalled: "the response stalled",
  reset: "the connection was closed before the response was complete",
  tls: "the TLS connection failed",
  proxy: "tunnel refused",
  status: "the server is unavailable",
  protocol: "the response is not valid HTTP",
};

const hints: Partial<Record<FailureKind, string>> = {
  name: "check the registry's name and your DNS",
  refused: "check that the registry is running and that the port is right",
  unconnected: "check the registry's name, and any firewall, VPN or proxy in between",
  timeout: "check the network connection to the registry, and any proxy",
};

/** What fetch throws, in our words. Runtimes name the same thing differently; the text is the last resort. */
function kindOf(error: unknown): { kind: FailureKind; text: string } {
  const texts: string[] = [];
  for (const at of causesOf(error)) {
    // ofetch's own error says what its cause says, and the URL.
    if (at.name === "FetchError" && at.cause !== undefined) continue;
    if (at.name === "TimeoutError") return { kind: "timeout", text: at.message };
    const code = errno(at);
    const kind = code === undefined ? undefined : kinds[code];
    if (kind !== undefined) return { kind, text: at.message };
    if (code !== undefined) texts.push(code);
    texts.push(at.message);
  }
  // Deno puts the URL into its text.
  const text = texts.join(" ").replaceAll(/\(https?:[^)]*\)/g, "");
  if (/dns|lookup|getaddrinfo/i.test(text)) return { kind: "name", text };
  if (/cert|tls|ssl|issuer|self.signed|altname|handshake|corrupt message/i.test(text)) {
    return { kind: "tls", text };
  }
  if (/refused|unable to connect|unreachable/i.test(text)) return { kind: "refused", text };
  if (/timed? ?out/i.test(text)) return { kind: "timeout", text };
  if (/invalid http|header|malformed/i.test(text)) return { kind: "protocol", text };
  return { kind: "reset", text };
}

/** For who speaks plain HTTP to what may be a server of TLS: some just break off, some answer 400. */
export const httpsHint = (url: URL): string | undefined =>
  url.protocol === "http:" ? `if it uses HTTPS, ${wayToHttps(url)}` : undefined;

/** What makes plain HTTP to a host https. */
export const wayToHttps = ({ host }: URL): string =>
  isLoopback(host) ? "use --ca-file or --insecure" : "omit --plain-http";

/** What failed: a host, or what was asked of it. */
type Subject = string | readonly string[];

/** A failed connection to a host as the error a user sees; `resetHint` is for one that just broke. */
export function connectionError(
  subject: Subject,
  error: unknown,
  resetHint?: string,
): OcibundleError {
  const { kind, text } = kindOf(error);
  return failureError(subject, kind, {
    ...(kind === "reset" ? { hint: resetHint } : {}),
    ...(kind === "tls" ? tlsReason(text) : {}),
    ...(kind === "proxy" ? proxyReason(text) : {}),
    // Not the error itself: ofetch's holds the request with its headers, Deno's text the whole URL.
    cause: new Error(text),
  });
}

/** A `network` error that carries its {@link HttpFailure}. */
export function failureError(
  subject: Subject,
  kind: FailureKind,
  details: {
    what?: string;
    hint?: string | undefined;
    retryAfter?: number | undefined;
    proxyStatus?: number | undefined;
    brokeOff?: boolean | undefined;
    cause?: unknown;
  } = {},
): OcibundleError {
  const what = details.what ?? says[kind];
  return new OcibundleError("network", what, {
    subject,
    hint: details.hint ?? hints[kind],
    cause: new HttpFailure(kind, what, details),
  });
}

/** What a proxy said to a CONNECT (RFC 9110, section 9.3.6), as far as the runtime tells. */
function proxyReason(text: string): { what: string; proxyStatus?: number } {
  const status = /\b[1-5]\d\d\b/.exec(text)?.[0];
  return status === undefined
    ? { what: says.proxy }
    : { what: `${says.proxy} (${status})`, proxyStatus: Number(status) };
}

function tlsReason(text: string): { what: string; hint: string; brokeOff?: boolean } {
  const clock = `the clock of this machine is at ${new Date().toISOString().slice(0, 16)}Z`;
  if (/not.?(?:yet.?valid|valid.?(?:yet|before))/i.test(text)) {
    return {
      what: "the TLS certificate is not yet valid",
      hint: `${clock}: correct the clock if it is behind; otherwise the registry needs another certificate`,
    };
  }
  if (/expired/i.test(text)) {
    return {
      what: "the TLS certificate has expired",
      hint: `${clock}: correct the clock if it is ahead; otherwise the registry needs a new certificate`,
    };
  }
  if (/altname|hostname|not valid for name/i.test(text)) {
    return {
      what: "the TLS certificate is for another name",
      hint: "use a host name that the certificate is valid for",
    };
  }
  if (/self.signed|issuer|unable to (get|verify)|unknownissuer|authority/i.test(text)) {
    return {
      what: "the TLS certificate is signed by an authority that this machine does not trust",
      hint: "add the authority's certificate with --ca-file",
    };
  }
  return {
    what: "the TLS connection failed",
    brokeOff: !/certificate|bad_cert|unknown_ca|version/i.test(text),
    hint: "if the registry uses plain HTTP, use --plain-http; if it requires a client certificate, use --cert-file and --key-file",
  };
}
