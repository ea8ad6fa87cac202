import { type ErrorCode, OcibundleError } from "../errors.ts";
import type { CertificateOptions } from "../http/certificates.ts";
import { codingNames } from "../http/message/content-coding.ts";
import type { EmitHttpEvent, HttpResponse, Send } from "../http/message/message.ts";
import { followRedirects } from "../http/redirect.ts";
import type { ByteRange, ReadRange } from "../oci/content.ts";
import { formatRange, parseContentRange } from "../registry/content-range.ts";
import { partAnswer } from "../remote/part-answer.ts";
import type { PartAnswer } from "../remote/part.ts";
import { readAhead, tooManyConnections } from "../remote/read-ahead.ts";
import { type Slots, slots } from "../remote/slots.ts";
import { aboutSource, sourceSend } from "../remote/send.ts";
import { isSteady } from "../remote/steady.ts";
import { type Clock, systemClock } from "../retry/clock.ts";
import { createReachRule, type Resolve } from "./redirect-rule.ts";
import { checkPlain, shownUrl, type WebAddress } from "./url.ts";
import { StatusError, statusOf } from "./status.ts";

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

/** A file at a URL, in the state that it was in when it was looked at. */
export interface WebFile {
  /** In bytes; undefined where the server does not say it. */
  size: number | undefined;
  /** What tells that state from others for certain: a strong ETag with its quotes. */
  etag: string | undefined;
  /** Whether parts that are asked for one by one are of one state for certain. */
  goesOn: boolean;
  /**
   * Reads ranges of the file, whose size in bytes is given. Rejects with `integrity` where the file is in another
   * state by now.
   */
  opener(size: number): ReadRange;
  /** All bytes, in one answer, where the size is not known. */
  openAll(signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
}

/** Files on the web; what is shared by those of a run. */
export interface Web {
  /** Looks at a file: its size and its state. Throws `not_found`, `denied`, `network`, `usage`. */
  look(address: WebAddress, signal: AbortSignal): Promise<WebFile>;
}

const connectHint = "check the URL, the network connection to that host, and any proxy";

/** What a storage answers to a URL whose signature ran out. */
const expired: ReadonlySet<number> = new Set([400, 401, 403, 404, 410]);

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
  const get: Get = async (url, name, headers, accept, signal) => {
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

type Get = (
  url: URL,
  name: string,
  headers: Readonly<Record<string, string>>,
  accept: readonly number[],
  signal: AbortSignal,
) => Promise<HttpResponse>;

/** A HEAD would be refused where a GET was signed: the first byte is asked for. */
async function lookAt(
  get: Get,
  { url }: WebAddress,
  free: Slots,
  signal: AbortSignal,
): Promise<WebFile> {
  const name = shownUrl(url.href);
  const first = await get(url, name, { range: "bytes=0-0" }, [200, 206, 416], signal);
  void first.body?.cancel().catch(() => undefined);
  const { headers } = first;
  if (codingNames(headers).length > 0) {
    throw new OcibundleError("network", "the server sends it only in compressed form", {
      subject: name,
    });
  }
  const state = stateOf(headers);
  const isSure = state.etag !== undefined || isSteady(headers);
  const hasRanges = first.status === 206;
  // Where a redirect leads is asked again and again, until that is refused.
  let location: URL | undefined = first.url;

  const ask = async (wanted: Record<string, string>, stop: AbortSignal): Promise<HttpResponse> => {
    const known = location;
    const accept = [200, 206];
    if (known !== undefined && known.href !== url.href) {
      try {
        return await get(known, name, wanted, accept, stop);
      } catch (error) {
        if (!expired.has(statusOf(error) ?? 0)) throw error;
        if (location === known) location = undefined;
      }
    }
    const response = await get(url, name, wanted, accept, stop);
    location = response.url;
    return response;
  };
  const same = (response: HttpResponse): HttpResponse => {
    const now = stateOf(response.headers);
    const isOther = (["etag", "modified"] as const).some(
      (part) => state[part] !== undefined && now[part] !== undefined && now[part] !== state[part],
    );
    if (!isOther) return response;
    void response.body?.cancel().catch(() => undefined);
    throw new OcibundleError("integrity", "the file changed while it was read", {
      subject: name,
      hint: "run the command again when no program writes to it",
    });
  };
  const condition = state.etag ?? (isSure ? state.modified : undefined);

  return {
    size: sizeOf(first),
    etag: state.etag,
    goesOn: isSure,
    opener(size) {
      const open = async (part: ByteRange, end: AbortSignal): Promise<PartAnswer> => {
        const wanted = hasRanges
          ? {
              range: formatRange(part),
              ...(condition === undefined ? {} : { "if-range": condition }),
            }
          : {};
        const response = same(await ask(wanted, end));
        return partAnswer(response, { range: part, size, name, server: "server" });
      };
      return readAhead({
        open,
        slots: free,
        name,
        inOneAnswer: !isSure || !hasRanges,
        goesOn: isSure,
        isTooMany: (error) => tooManyConnections.has(statusOf(error) ?? 0),
      });
    },
    async openAll(stop) {
      const response = same(await ask({}, stop));
      const isFramed =
        response.headers.has("content-length") ||
        response.headers.get("transfer-encoding")?.toLowerCase() === "chunked";
      if (isFramed) return response.body ?? new Blob([]).stream();
      void response.body?.cancel().catch(() => undefined);
      throw new OcibundleError("network", "the server does not report the end of the file", {
        subject: name,
        hint: "download it first, then use its path",
      });
    },
  };
}

interface State {
  etag: string | undefined;
  modified: string | undefined;
}

/** A weak ETag is the same for what differs in bytes. */
function stateOf(headers: Headers): State {
  const etag = headers.get("etag")?.trim();
  return {
    etag: etag !== undefined && /^"[\x21\x23-\x7e]{1,256}"$/.test(etag) ? etag : undefined,
    modified: headers.get("last-modified") ?? undefined,
  };
}

function sizeOf({ status, headers }: HttpResponse): number | undefined {
  const text =
    status === 200
      ? headers.get("content-length")
      : status === 416
        ? /^bytes \*\/(\d+)$/.exec(headers.get("content-range") ?? "")?.[1]
        : undefined;
  const size =
    status === 206
      ? parseContentRange(headers.get("content-range"))?.total
      : /^\d{1,16}$/.test(text ?? "")
        ? Number(text)
        : undefined;
  return size !== undefined && Number.isSafeInteger(size) ? size : undefined;
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
