import { type ErrorCode, OcibundleError } from "../errors.ts";
import { readUpTo } from "../http/message/body.ts";
import type { HttpResponse } from "../http/message/message.ts";
import { serverWords } from "../remote/server-words.ts";
import { StatusError } from "../remote/status-error.ts";
import { readXml } from "./xml.ts";

/** What an answer is about, for messages. */
export interface S3Subject {
  /** `s3://bucket/key`. */
  name: string;
  /** The host that answered. */
  store: string;
  region: string;
  isSigned: boolean;
  /** Leaves secrets out of the store's words. */
  strike: (text: string) => string;
}

const maxErrorBytes = 64 * 1024;

/** Reads an answer that is not what was asked for into the error to throw. */
export async function readS3Refusal(
  response: HttpResponse,
  on: S3Subject,
): Promise<OcibundleError> {
  const { status } = response;
  const { code: named, words } = await wordsOf(response, on);
  const { code, says, hint } = meaning(status, named, on);
  const said = [named, words].filter((text) => text !== "").join(": ");
  const because = said === "" ? String(status) : `${said} (${status})`;
  const cause = new StatusError(status, because);
  return new OcibundleError(code, `${says}: ${because}`, { subject: on.name, hint, cause });
}

interface Meaning {
  code: ErrorCode;
  says: string;
  hint: string;
}

const unknownKeys = new Set([
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "ExpiredToken",
  "InvalidToken",
  "InvalidSecurity",
  "TokenRefreshRequired",
]);

function meaning(status: number, code: string, { isSigned, store, region }: S3Subject): Meaning {
  if (status === 412) {
    return {
      code: "integrity",
      says: "the object changed while it was read",
      hint: "run the command again when no program writes to it",
    };
  }
  if (code === "NoSuchBucket") {
    return {
      code: "not_found",
      says: `the bucket does not exist at ${store}`,
      hint: "check the name, AWS_ENDPOINT_URL and AWS_REGION",
    };
  }
  if (status === 404) {
    return { code: "not_found", says: "the object does not exist", hint: "check the key" };
  }
  if (code === "InvalidObjectState") {
    return {
      code: "file",
      says: "the object is archived",
      hint: "restore it first, such as with `aws s3api restore-object`",
    };
  }
  if (code === "RequestTimeTooSkewed") {
    return {
      code: "denied",
      says: "the clock of this machine is wrong",
      hint: `the clock of this machine is at ${new Date().toISOString().slice(0, 16)}Z: set it`,
    };
  }
  if (unknownKeys.has(code)) {
    return {
      code: "denied",
      says: "the object store rejected the access key",
      hint: "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN or the profile",
    };
  }
  if (status === 401 || status === 403) {
    return {
      code: "denied",
      says: "access denied",
      hint: isSigned
        ? "the permissions s3:GetObject and s3:ListBucket are required"
        : "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    };
  }
  if (status === 400 || (status >= 300 && status < 400)) {
    return {
      code: "network",
      says: `the object store rejected the request in region ${region}`,
      hint: "set AWS_REGION to the region of the bucket, and check AWS_ENDPOINT_URL",
    };
  }
  return {
    code: "network",
    says: "the object store failed",
    hint: "check AWS_ENDPOINT_URL, or try again later",
  };
}

async function wordsOf(
  response: HttpResponse,
  { strike }: S3Subject,
): Promise<{ code: string; words: string }> {
  try {
    const { bytes } = await readUpTo(response, maxErrorBytes);
    const document = readXml(bytes);
    const code = document.text("Code") ?? "";
    return {
      code: /^[\w.-]{1,64}$/.test(code) ? code : "",
      words: serverWords(strike(document.text("Message") ?? "")),
    };
  } catch {
    return { code: "", words: "" };
  }
}
