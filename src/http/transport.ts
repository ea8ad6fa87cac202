import { $fetch } from "ofetch";
import { errno, OcibundleError, causeOf, causesOf } from "../errors.ts";
import type { ConnectionOptions } from "../runtime/types.ts";
import type { ByteSource } from "../flow/passing.ts";
import { watchBody } from "./message/watch-body.ts";
import { connectionError, httpsHint } from "./message/failure.ts";
import { type CheckAddresses, withCheckedAddress } from "./message/checked-address.ts";
import { largeAnswers } from "./large/answer.ts";
import type { HttpRequest, HttpResponse, Send } from "./message/message.ts";
import { type Environment, proxyFor } from "./proxy.ts";
import { watchSending } from "./sent-body.ts";

/** What a request is sent with. */
export interface TransportOptions {
  userAgent: string;
  /** Names the proxies. */
  env: Environment;
  /** From the runtime: what makes fetch connect as described. */
  connection: (options: ConnectionOptions) => RequestInit;
  /** From the runtime: whether a TLS socket that is paused stops reading. */
  pausesTls: boolean;
  /** The certificates for a URL; `carriesLogin`: whether what is sent lets somebody in. */
  tls: (url: URL, carriesLogin: boolean) => Promise<ConnectionOptions["tls"]>;
  /** How long connecting and waiting for the first byte may take together, in milliseconds. */
  firstByteTimeout: number;
  /** How long a body may stop for, in milliseconds. */
  idleTimeout: number;
}

/** Smaller bodies measure the way to the registry and back, not its rate. */
const measuredBody = 1024 * 1024;

/**
 * The bottom of the client: one request, one answer, no redirect followed, no status judged, the
 * body not read. Throws `network` with the failure's kind, or the signal's reason.
 */
export function transport(options: TransportOptions): Send {
  /** How fast the last large body went out, in bytes a millisecond. */
  let rate = 0;
  const exchangeLarge = largeAnswers();

  return async (request) => {
    const { url, signal, checkAddresses } = request;
    const size = request.body?.size ?? 0;
    const connection: ConnectionOptions = {
      proxy: proxyFor(url, options.env),
      tls:
        url.protocol === "https:"
          ? await options.tls(url, request.carriesLogin === true)
          : undefined,
    };
    // Outside of what is caught below: a body that can't be made is no failure of the network.
    const body = await request.body?.make();
    signal.throwIfAborted();
    const firstByteTimeout = request.firstByteTimeout ?? options.firstByteTimeout;
    const { idleTimeout } = options;
    const sending = watchSending({ host: url.host, size, rate, firstByteTimeout, idleTimeout });
    const started = performance.now();
    try {
      const exchange = {
        method: request.method,
        url,
        headers: headersOf(request, options.userAgent),
        signal: AbortSignal.any([signal, sending.signal]),
      };
      const isLarge = request.large === true && request.method === "GET";
      const pauses = url.protocol === "http:" || options.pausesTls;
      const received =
        (isLarge && pauses && connection.proxy === undefined
          ? await exchangeLarge({ ...exchange, tls: connection.tls, checkAddresses })
          : undefined) ??
        (await fetched(
          {
            ...(await addressed(exchange, connection, checkAddresses)),
            body: body === undefined ? undefined : sending.body(body),
          },
          options.connection(connection),
        ));
      if (size >= measuredBody) rate = size / Math.max(1, performance.now() - started);
      return answer(request, received, options);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (sending.signal.aborted) throw sending.signal.reason;
      throw (
        ownError(error) ?? outOfFiles(error) ?? connectionError(url.host, error, httpsHint(url))
      );
    } finally {
      sending.stop();
    }
  };
}

/** The typed error of a body that failed while it was sent: fetch puts its own around it. */
const ownError = (error: unknown): OcibundleError | undefined => causeOf(error, OcibundleError);

/** That this process may open no further connection is no failure of the network. */
function outOfFiles(error: unknown): Error | undefined {
  for (const at of causesOf(error)) {
    if (errno(at) === "EMFILE" || errno(at) === "ENFILE") return at;
  }
  return undefined;
}

const headersOf = (
  { method, headers, body }: HttpRequest,
  userAgent: string,
): Record<string, string> => ({
  "user-agent": userAgent,
  // Digests and ranges are of the bytes as they are stored.
  "accept-encoding": "identity",
  ...(body !== undefined || method === "POST" || method === "PUT"
    ? { "content-length": String(body?.size ?? 0) }
    : {}),
  ...headers,
});

/** fetch looks names up itself. With TLS, a certificate says that the server is the one that has the name. */
async function addressed<
  T extends { url: URL; headers: Record<string, string>; signal: AbortSignal },
>(exchange: T, { proxy }: ConnectionOptions, check: CheckAddresses | undefined): Promise<T> {
  const { url, headers, signal } = exchange;
  if (check === undefined || proxy !== undefined || url.protocol !== "http:") return exchange;
  const at = await withCheckedAddress(url, check, signal);
  return { ...exchange, url: at.url, headers: { ...headers, ...at.headers } };
}

/** What came back: its body as it is received, not yet watched. */
interface Received {
  status: number;
  headers: Headers;
  body: ByteSource | undefined;
}

async function fetched(
  exchange: {
    method: string;
    url: URL;
    headers: Record<string, string>;
    body: BodyInit | undefined;
    signal: AbortSignal;
  },
  connection: RequestInit,
): Promise<Received> {
  const { method, url, headers, body } = exchange;
  // A body that is only cancelled may still be received to its end.
  const given = new AbortController();
  const signal = AbortSignal.any([exchange.signal, given.signal]);
  // ofetch would parse what looks like JSON and make a Blob of the rest: "stream" leaves the bytes alone.
  const response = await $fetch.raw<unknown, "stream">(url.href, {
    ...connection,
    method,
    headers,
    signal,
    ...(body === undefined ? {} : { body }),
    retry: false,
    ignoreResponseError: true,
    redirect: "manual",
    responseType: "stream",
  });
  // Watching a body for bytes that do not come costs as much as the request.
  const isEmpty = response.headers.get("content-length") === "0";
  const reader = isEmpty ? undefined : response.body?.getReader();
  return {
    status: response.status,
    headers: response.headers,
    body: reader && {
      read: () => reader.read(),
      async cancel(reason) {
        await reader.cancel(reason);
        given.abort();
      },
    },
  };
}

function answer(
  request: HttpRequest,
  { status, headers, body }: Received,
  { idleTimeout }: TransportOptions,
): HttpResponse {
  const length = headers.get("content-length");
  const hasBody = body !== undefined && request.method !== "HEAD";
  // What a HEAD is answered with has no body, whatever the server sends.
  if (!hasBody) body?.cancel().catch(() => undefined);
  return {
    status,
    headers,
    url: request.url,
    body: !hasBody
      ? undefined
      : watchBody(body, {
          subject: request.about ?? request.url.host,
          idleTimeout,
          expected: length === null ? undefined : readLength(length),
          signal: request.signal,
        }),
  };
}

const readLength = (text: string): number | undefined =>
  /^\d{1,15}$/.test(text) ? Number(text) : undefined;
