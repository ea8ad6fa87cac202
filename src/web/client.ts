import { type ErrorCode, OcibundleError } from "../errors.ts";
import type { CertificateOptions } from "../http/certificates.ts";
import type { EmitHttpEvent, HttpResponse, Send } from "../http/message/message.ts";
import { followRedirects } from "../http/redirect.ts";
import { slots } from "../remote/slots.ts";
import { aboutSource, sourceSend } from "../remote/send.ts";
import { type Clock, systemClock } from "../retry/clock.ts";
import { type GetAnswer, lookAt, type WebFile } from "./file.ts";
import { createReachRule, type Resolve } from "./redirect-rule.ts";
import { StatusError } from "../remote/status-error.ts";
import { checkPlain, type WebAddress } from "./url.ts";

/** What a run reaches files on the web with. */
export interface WebOptions {
  /** Names the proxies. */
  env: Readonly<Record<string, string | undefined>>;
  /** Whether a host that is not this machine may be asked by plain HTTP. */
  plainHttp: boolean;
  /** The certificates for a host. */
  certificates(host: string): CertificateOptions;
  emit: EmitHttpEvent;
  clock?: Clock | undefined;
  /** The addresses of a name; those of the system unless given. */
  resolve?: Resolve | undefined;
}

/** Files on the web; what is shared by those of a run. */
export interface Web {
  /** Looks at a file: its size and its state. Throws `not_found`, `denied`, `network`, `usage`. */
  look(address: WebAddress, signal: AbortSignal): Promise<WebFile>;
}

const connectHint = "check the URL, the network connection to that host, and any proxy";

/** A client for files on the web. Makes no request by itself. */
export function openWeb(options: WebOptions): Web {
  const { env, emit, clock = systemClock, certificates, resolve } = options;
  const shared = slots();
  const senders = new Map<string, Send>();
  const rule = createReachRule(resolve);
  const sendTo = (origin: URL): Send => {
    const known = senders.get(origin.origin);
    if (known !== undefined) return known;
    const send = sourceSend({
      ...certificates(origin.host),
      origin,
      env,
      emit,
      clock,
      around: (next) =>
        followRedirects(next, {
          check: rule.checkRedirect,
          hint: "check the URL",
        }),
    });
    senders.set(origin.origin, send);
    return send;
  };
  const get: GetAnswer = async (url, name, headers, accept, signal) => {
    let response: HttpResponse;
    try {
      response = await sendTo(url)({
        method: "GET",
        url,
        headers,
        repeatable: "always",
        scopes: [],
        about: [name],
        large: true,
        checkAddresses: rule.checkAddresses,
        signal,
      });
    } catch (error) {
      throw aboutSource(error, name, connectHint);
    }
    if (accept.includes(response.status)) return response;
    void response.body?.cancel().catch(() => undefined);
    throw refusal(response.status, name);
  };
  return {
    async look(address, signal) {
      checkPlain(address, options.plainHttp);
      return lookAt(get, address, shared, signal);
    },
  };
}

function refusal(status: number, name: string): OcibundleError {
  const [code, says, hint]: [ErrorCode, string, string] =
    status === 404 || status === 410
      ? ["not_found", "the file does not exist", "check the URL"]
      : status === 401 || status === 403 || status === 407
        ? [
            "denied",
            "access denied",
            "use a signed URL that is still valid; no credentials are sent",
          ]
        : ["network", "the server failed", "try again later"];
  return new OcibundleError(code, `${says} (${status})`, {
    subject: name,
    hint,
    cause: new StatusError(status),
  });
}
