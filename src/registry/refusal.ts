import * as v from "valibot";
import { type ErrorCode, OcibundleError, causeOf } from "../errors.ts";
import { readUpTo } from "../http/message/body.ts";
import { httpsHint } from "../http/message/failure.ts";
import type { HttpResponse } from "../http/message/message.ts";
import { askedToWait } from "../http/message/retry-after.ts";
import { maxRetryAfter } from "../retry/backoff.ts";

/** More of an error's body than this is not read. */
const maxErrorBytes = 64 * 1024;

/** What of the registry's own words is shown. */
const maxWords = 200;

/** distribution-spec v1.1, "Error Codes". */
const ErrorsSchema = v.looseObject({
  errors: v.array(v.looseObject({ code: v.nullish(v.string()), message: v.nullish(v.string()) })),
});

/** The registry's "no", as the cause of an OcibundleError: callers choose another way by its status. */
export class RegistryRefusal extends Error {
  readonly status: number;
  /** As `DIGEST_INVALID`; empty when the body was not the specification's. */
  readonly codes: readonly string[];
  /** What the registry asked to wait, in milliseconds. */
  readonly retryAfter: number | undefined;

  constructor(status: number, codes: readonly string[], message: string, retryAfter?: number) {
    super(message);
    this.status = status;
    this.codes = codes;
    this.retryAfter = retryAfter;
  }
}

/** The refusal behind an error, or undefined when the registry did not answer. */
export const refusalOf = (error: unknown): RegistryRefusal | undefined =>
  causeOf(error, RegistryRefusal);

/** What registries answer to a range that they do not serve; 206 stands for a range that was not requested. */
export const rangeRefused: ReadonlySet<number> = new Set([206, 400, 405, 406, 416, 501]);

/** Whether a range was refused by a server that may have the blob: then all of it can be asked for. */
export function refusesRanges(error: unknown): boolean {
  const status = refusalOf(error)?.status;
  return status !== undefined && rangeRefused.has(status);
}

/** What a request is about, for messages. */
export interface Subject {
  /** The registry as the user wrote it. */
  host: string;
  /** `host/repository`, or the host. */
  name: string;
  /** `blob sha256:ab…`, `manifest "v1"`. */
  thing: string;
  /** Of the registry's own URL: an answer from elsewhere is not the registry's. */
  origin: string;
  /** Leaves out of the registry's words what is nobody's business. */
  strike: (text: string) => string;
}

/** Reads an answer that is not what was asked for into the error to throw. */
export async function readRefusal(response: HttpResponse, on: Subject): Promise<OcibundleError> {
  const { bytes } = await readUpTo(response, maxErrorBytes).catch(() => ({
    bytes: new Uint8Array(0),
  }));
  const errors = parseErrors(bytes, on.strike);
  const codes = errors.flatMap(({ code }) => (code === undefined ? [] : [code]));
  const words = wordsOf(errors);
  const { status } = response;
  const retryAfter = askedToWait(response.headers, Date.now());
  const cause = new RegistryRefusal(
    status,
    codes,
    `${status}${words === "" ? "" : ` ${words}`}`,
    retryAfter,
  );
  const code = codeOf(status, codes);
  const because = words === "" ? String(status) : `${words} (${status})`;
  const { url } = response;
  const at = url.origin === on.origin ? "" : ` at ${url.host}, to which the registry redirects`;
  return new OcibundleError(code, `${says(code, status, on.thing)}${at}: ${because}`, {
    subject: on.name,
    hint:
      code === "denied" && at !== ""
        ? `credentials of ${on.host} are not sent to that host; the signed URL may have expired`
        : hint(code, { status, codes, on, url, retryAfter, explained: words !== "" }),
    cause,
  });
}

/** The status and the registry's own words, where it said some: `405 UNSUPPORTED: no deletes here`. */
export function describeRefusal(
  status: number,
  body: Uint8Array,
  strike: Subject["strike"],
): string {
  const words = wordsOf(parseErrors(body.subarray(0, maxErrorBytes), strike));
  return words === "" ? String(status) : `${status} ${words}`;
}

const wordsOf = (errors: ReturnType<typeof parseErrors>): string =>
  errors
    .map(({ code, message }) => [code, message].filter((part) => part !== undefined).join(": "))
    .join("; ");

/** Reads the specification's errors; anything else is none. Control characters and queries of URLs go. */
export function parseErrors(
  bytes: Uint8Array,
  strike: Subject["strike"] = (text) => text,
): { code: string | undefined; message: string | undefined }[] {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return [];
  }
  const result = v.safeParse(ErrorsSchema, json);
  if (!result.success) return [];
  return result.output.errors.slice(0, 3).map(({ code, message }) => ({
    code: typeof code === "string" && /^[A-Za-z0-9_ -]{1,64}$/.test(code) ? code : undefined,
    message: typeof message === "string" && message !== "" ? printable(strike(message)) : undefined,
  }));
}

const printable = (text: string): string => {
  const clean = text
    .replaceAll(/(https?:\/\/[^\s?"'<>]*)\?[^\s"'<>]*/gi, "$1")
    .replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, " ")
    .trim();
  return clean.length > maxWords ? `${clean.slice(0, maxWords)}…` : clean;
};

/** The registry does not have what a manifest that is written names. */
const blobsMissing = "MANIFEST_BLOB_UNKNOWN";

const byCode: Readonly<Record<string, ErrorCode>> = {
  DIGEST_INVALID: "integrity",
  SIZE_INVALID: "integrity",
  UNAUTHORIZED: "denied",
  DENIED: "denied",
  TOOMANYREQUESTS: "network",
  // Some say it with 404, and mean the blobs, not the manifest.
  [blobsMissing]: "network",
};

function codeOf(status: number, codes: readonly string[]): ErrorCode {
  // Some say SIZE_INVALID with it, and mean that the bytes are too many, not that they are wrong.
  if (status === 413) return "network";
  for (const code of codes) {
    const known = Object.hasOwn(byCode, code) ? byCode[code] : undefined;
    if (known !== undefined && status < 500) return known;
  }
  if (status === 401 || status === 403) return "denied";
  return status === 404 ? "not_found" : "network";
}

function says(code: ErrorCode, status: number, thing: string): string {
  if (code === "not_found") {
    // There is nothing to upload to: the registry wants its repositories or projects made first.
    return thing === "an upload" ? "the repository does not exist" : `${thing} not found`;
  }
  if (code === "denied") return `access denied to ${thing}`;
  if (code === "integrity") return `the registry rejected ${thing}`;
  if (status >= 200 && status < 300) return `unexpected response for ${thing}`;
  return `request for ${thing} failed`;
}

function hint(
  code: ErrorCode,
  {
    status,
    codes,
    on,
    url,
    retryAfter,
    explained,
  }: {
    status: number;
    codes: readonly string[];
    on: Subject;
    url: URL;
    retryAfter: number | undefined;
    /** Whether the registry says why, in the specification's words. */
    explained: boolean;
  },
): string | undefined {
  if (code === "denied") {
    return status === 401
      ? `log in with \`ocibundle login ${on.host}\``
      : `check the permissions of your account on ${on.host}, or log in with \`ocibundle login ${on.host}\``;
  }
  if (code === "not_found") {
    return on.thing.startsWith('manifest "')
      ? `check the tag and the repository name ${on.name}`
      : `check the repository name ${on.name}`;
  }
  if (codes.includes(blobsMissing)) {
    return "the registry has lost blobs that it accepted, or does not find them yet; try again later";
  }
  if (retryAfter !== undefined) {
    const seconds = Math.ceil(retryAfter / 1000);
    return retryAfter > maxRetryAfter
      ? `the registry asks to retry after ${seconds} s, longer than the limit of ${maxRetryAfter / 1000} s`
      : `the registry asks to retry after ${seconds} s`;
  }
  if (status === 429) return "the registry limits the rate of requests; try again later, or log in";
  if (status === 413) {
    // Smaller requests were tried where there are some.
    return "raise the limit on the size of request bodies of the registry, or of the proxy in front of it";
  }
  if (status >= 500) return "the registry has a problem; try again later";
  if (explained) return undefined;
  // A server of TLS answers plain HTTP so, as Go's and nginx's do.
  const https = status === 400 ? httpsHint(url) : undefined;
  if (https !== undefined) return `check that ${on.host} is a registry; ${https}`;
  return `check that ${on.host} is a registry`;
}
