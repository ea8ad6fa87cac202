import { amended, OcibundleError } from "../errors.ts";
import { knownSecrets } from "../http/auth/secrets.ts";
import { certificates, type CertificateOptions } from "../http/certificates.ts";
import { connectTimeout } from "../http/connect-timeout.ts";
import { bufferDocuments } from "../http/message/buffer-documents.ts";
import { httpFailureOf } from "../http/message/failure.ts";
import type { EmitHttpEvent, HttpResponse, Send } from "../http/message/message.ts";
import { proxyErrors } from "../http/proxy-errors.ts";
import { followRedirects } from "../http/redirect.ts";
import { retrier, retry } from "../http/retry.ts";
import { traced } from "../http/trace.ts";
import { transport } from "../http/transport.ts";
import { type Clock, systemClock } from "../retry/clock.ts";
import { versionNumber } from "../version.ts";
import { runtime } from "../runtime/current.ts";
import { honorRateLimit } from "./rate-limit.ts";
import { type HubSubject, readHubRefusal } from "./refusal.ts";

export interface HubOptions extends CertificateOptions {
  /** Without a slash at its end (see `hubEndpoint`). */
  endpoint: URL;
  token: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  emit: EmitHttpEvent;
  clock?: Clock | undefined;
}

export interface HubRequest {
  url: URL;
  headers?: Readonly<Record<string, string>>;
  /** What it is about, for messages: `hf://acme/llama@main`. */
  name: string;
  /** `ORG/MODEL`. */
  model: string;
  accept: readonly number[];
  /** For an answer that is a document: its limit in bytes. */
  maxDocument?: number;
  large?: boolean;
  signal: AbortSignal;
}

/** The HTTP client for one hub. */
export interface HubClient {
  endpoint: URL;
  /**
   * Makes a GET request and judges its status. The token goes to the endpoint's origin and to no other.
   * Throws `not_found`, `denied`, `network` with a {@link HubRefusal} as the cause of what was refused.
   */
  get(request: HubRequest): Promise<HttpResponse>;
}

/** Connecting and waiting for the first byte, and a pause of a body, in milliseconds. */
const patience = 60_000;

/** A host that lets nobody connect is given up after both, in milliseconds. */
const connecting = { doubtAfter: 5000, timeout: 10_000 } as const;

/** A client for a hub. Makes no request by itself. */
export function createHubClient(options: HubOptions): HubClient {
  const { endpoint, token, env, emit, clock = systemClock } = options;
  const secrets = knownSecrets();
  if (token !== undefined) secrets.addToken(token);
  const bottom = transport({
    userAgent: `ocibundle/${versionNumber()}`,
    env,
    connection: (wanted) => runtime.connection(wanted),
    pausesTls: runtime.pausesTls,
    tls: certificates(options, endpoint, {
      env,
      warn: (message) => emit({ type: "warning", message }),
    }),
    firstByteTimeout: patience,
    idleTimeout: patience,
  });
  const connected = connectTimeout(bottom, { env, ...connecting });
  const told = traced(proxyErrors(connected, env), emit);
  const send: Send = retry(
    honorRateLimit(bufferDocuments(followRedirects(told))),
    retrier({ host: endpoint.host, clock, emit }),
    clock.now,
  );
  const subject = (name: string, model: string): HubSubject => ({
    name,
    origin: endpoint.origin,
    page: `${endpoint.href.replace(/\/$/, "")}/${model}`,
    hasToken: token !== undefined,
    strike: secrets.strike,
  });
  return {
    endpoint,
    async get({ url, headers = {}, name, model, accept, maxDocument, large, signal }) {
      const authorization =
        token !== undefined && url.origin === endpoint.origin
          ? { authorization: `Bearer ${token}` }
          : {};
      let response: HttpResponse;
      try {
        response = await send({
          method: "GET",
          url,
          headers: { ...headers, ...authorization },
          repeatable: "always",
          scopes: [],
          carriesLogin: token !== undefined,
          about: [name],
          maxDocument,
          large,
          signal,
        });
      } catch (error) {
        throw aboutHub(error, name);
      }
      if (accept.includes(response.status)) return response;
      throw await readHubRefusal(response, subject(name, model));
    },
  };
}

/** A failed connection to a hub: what the registry's user is told to do is of no use here. */
function aboutHub(error: unknown, name: string): unknown {
  if (!(error instanceof OcibundleError) || error.code !== "network") return error;
  const failure = httpFailureOf(error);
  const hint =
    failure === undefined || failure.kind === "tls"
      ? error.hint
      : "check the network between here and the hub, HF_ENDPOINT, and any proxy";
  const { subject } = error;
  return amended(error, { hint, subject: subject.includes(name) ? subject : [name, ...subject] });
}
