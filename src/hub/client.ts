import { knownSecrets } from "../http/auth/secrets.ts";
import type { CertificateOptions } from "../http/certificates.ts";
import type { EmitHttpEvent, HttpResponse } from "../http/message/message.ts";
import { followRedirects } from "../http/redirect.ts";
import { aboutSource, sourceSend } from "../remote/send.ts";
import { type Clock, systemClock } from "../retry/clock.ts";
import { honorRateLimit } from "./rate-limit.ts";
import { type HubSubject, readHubRefusal } from "./refusal.ts";

/** Which hub, and how it is reached. */
export interface HubOptions extends CertificateOptions {
  /** Without a slash at its end (see `hubEndpoint`). */
  endpoint: URL;
  /** Sent to the endpoint's origin and to no other; undefined: anonymous. */
  token: string | undefined;
  /** Names the proxies. */
  env: Readonly<Record<string, string | undefined>>;
  emit: EmitHttpEvent;
  clock?: Clock | undefined;
}

/** A GET of the hub's API or of a file. */
export interface HubRequest {
  url: URL;
  headers?: Readonly<Record<string, string>>;
  /** What it is about, for messages: `hf://acme/llama@main`. */
  name: string;
  /** `ORG/MODEL`. */
  model: string;
  /** Statuses that are an answer; all others are thrown as a refusal. */
  accept: readonly number[];
  /** For an answer that is a document: its limit in bytes. */
  maxDocument?: number;
  /** Whether the answer may be a large file. */
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

const connectHint = "check the network connection to the hub, HF_ENDPOINT, and any proxy";

/** A client for a hub. Makes no request by itself. */
export function createHubClient(options: HubOptions): HubClient {
  const { endpoint, token, clock = systemClock } = options;
  const secrets = knownSecrets();
  if (token !== undefined) secrets.addToken(token);
  const send = sourceSend({
    ...options,
    origin: endpoint,
    clock,
    around: (next) => honorRateLimit(followRedirects(next)),
  });
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
        throw aboutSource(error, name, connectHint);
      }
      if (accept.includes(response.status)) return response;
      throw await readHubRefusal(response, subject(name, model));
    },
  };
}
