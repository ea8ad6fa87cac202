import { type ErrorCode, OcibundleError } from "../errors.ts";
import { readUpTo } from "../http/message/body.ts";
import type { HttpResponse } from "../http/message/message.ts";
import { serverWords } from "../remote/server-words.ts";
import { StatusError } from "../remote/status-error.ts";

/** What an answer is about, for messages. */
export interface HubSubject {
  /** `hf://acme/llama@main`. */
  name: string;
  /** The endpoint's origin: an answer from elsewhere is its storage's. */
  origin: string;
  /** The page of the model, where its conditions are accepted. */
  page: string;
  hasToken: boolean;
  /** Leaves the token out of the hub's words. */
  strike: (text: string) => string;
}

const maxErrorBytes = 64 * 1024;

/** Reads an answer that is not what was asked for into the error to throw. */
export async function readHubRefusal(
  response: HttpResponse,
  on: HubSubject,
): Promise<OcibundleError> {
  const { status, headers, url } = response;
  const words = await wordsOf(response, on);
  const because = words === "" ? String(status) : `${words} (${status})`;
  const cause = new StatusError(status, because);
  if (url.origin !== on.origin) {
    return new OcibundleError(
      "network",
      `the hub's storage at ${url.host} rejected the request: ${because}`,
      {
        subject: on.name,
        hint: "the storage does not serve very large files over HTTP: run `hf download`, then push that directory",
        cause,
      },
    );
  }
  const { code, says, hint } = meaning(status, headers.get("x-error-code") ?? "", on);
  return new OcibundleError(code, `${says}: ${because}`, { subject: on.name, hint, cause });
}

interface Meaning {
  code: ErrorCode;
  says: string;
  hint?: string;
}

function meaning(status: number, code: string, { page, hasToken }: HubSubject): Meaning {
  const login = hasToken
    ? "check that the token in HF_TOKEN has access to it"
    : "if it is private, set HF_TOKEN";
  if (code === "GatedRepo") {
    const accept = `accept the conditions at ${page}`;
    return {
      code: "denied",
      says: "access to the model is gated",
      hint: hasToken ? `${accept} with the account of this token` : `${accept}, then set HF_TOKEN`,
    };
  }
  if (code === "RevisionNotFound") {
    return { code: "not_found", says: "the revision does not exist", hint: `see ${page}` };
  }
  if (code === "EntryNotFound") return { code: "not_found", says: "the file does not exist" };
  if (code === "RepoNotFound" || status === 404 || status === 410) {
    return { code: "not_found", says: "the model does not exist or is private", hint: login };
  }
  if (status === 401 || status === 403 || status === 407) {
    const says = status === 401 && hasToken ? "the hub rejected the token" : "access denied";
    return { code: "denied", says, hint: login };
  }
  if (status === 429) {
    return {
      code: "network",
      says: "too many requests",
      hint: hasToken ? "try again later" : "set HF_TOKEN for higher limits, or try again later",
    };
  }
  return {
    code: "network",
    says: "the hub failed",
    hint: "check HF_ENDPOINT, or try again later",
  };
}

async function wordsOf(response: HttpResponse, on: HubSubject): Promise<string> {
  const { bytes } = await readUpTo(response, maxErrorBytes).catch(() => ({
    bytes: new Uint8Array(0),
  }));
  let said: unknown = response.headers.get("x-error-message");
  if (said === null) {
    try {
      said = (JSON.parse(new TextDecoder().decode(bytes)) as { error?: unknown } | null)?.error;
    } catch {
      return "";
    }
  }
  if (typeof said !== "string") return "";
  return serverWords(on.strike(said));
}
