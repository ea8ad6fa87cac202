import { authorize, type AuthorizeOptions } from "./auth/authorize.ts";
import { connectTimeout } from "./connect-timeout.ts";
import { bufferDocuments } from "./message/buffer-documents.ts";
import type { EmitHttpEvent, Send } from "./message/message.ts";
import { detectTls } from "./detect-tls.ts";
import { followRedirects } from "./redirect.ts";
import { traced } from "./trace.ts";
import { retrier, retry } from "./retry.ts";
import type { RetryBudget } from "../retry/budget.ts";
import { type Clock, systemClock } from "../retry/clock.ts";
import { proxyErrors } from "./proxy-errors.ts";
import { transport, type TransportOptions } from "./transport.ts";

/** Connecting and waiting for the first byte, in milliseconds. */
const defaultFirstByteTimeout = 60_000;

/** A host that lets nobody connect is given up after both, in milliseconds. */
const connecting = { doubtAfter: 5000, timeout: 10_000 } as const;

/** No byte of a body for this long, in milliseconds. */
const defaultIdleTimeout = 60_000;

/** What the client of one registry is made with. */
export interface ClientOptions
  extends
    Omit<TransportOptions, "firstByteTimeout" | "idleTimeout">,
    Omit<AuthorizeOptions, "now"> {
  /** Connecting and waiting for the first byte, in milliseconds; 60 s unless given. */
  firstByteTimeout?: number | undefined;
  /** The longest pause of a body, in milliseconds; 60 s unless given. */
  idleTimeout?: number | undefined;
  /** For waits and the ends of tokens; the system's unless given. */
  clock?: Clock | undefined;
  /** Failed attempts that all registries of a run share; a budget of its own unless given. */
  budget?: RetryBudget | undefined;
  /** Sent with every request to the registry, and to nobody else. */
  headers?: Readonly<Record<string, string>> | undefined;
  emit: EmitHttpEvent;
}

/** Adds headers to what goes to one origin. */
const withHeaders =
  (next: Send, { url, headers }: ClientOptions): Send =>
  (request) =>
    next(
      request.url.origin === url.origin
        ? { ...request, headers: { ...headers, ...request.headers } }
        : request,
    );

/** The HTTP client for one registry: transport, redirects, authorisation, retries, one on the other. */
export function createClient(options: ClientOptions): Send {
  const clock = options.clock ?? systemClock;
  const { host, emit, budget } = options;
  const again = retrier({ host, clock, emit, budget });
  const bottom = transport({
    ...options,
    firstByteTimeout: options.firstByteTimeout ?? defaultFirstByteTimeout,
    idleTimeout: options.idleTimeout ?? defaultIdleTimeout,
  });
  const connected = connectTimeout(detectTls(bottom, options.env), {
    env: options.env,
    ...connecting,
  });
  const told = traced(withHeaders(proxyErrors(connected, options.env), options), emit);
  const authorised = authorize(followRedirects(told), {
    ...options,
    now: clock.now,
  });
  return retry(bufferDocuments(authorised), again, clock.now);
}
