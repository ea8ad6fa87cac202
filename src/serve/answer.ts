import { Buffer } from "node:buffer";
import { OcibundleError } from "../errors.ts";
import { type HubBytes, type MissingKind, NotOnHub, TooManyMisses } from "./hub-source.ts";

/** An answer to a request. */
export interface Answer {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string>;
  /** Without one, the answer has no body; of a HEAD only the headers are sent. */
  body?: Uint8Array | HubBytes;
}

/** An answer with a JSON document. */
export const json = (value: unknown, status = 200, headers = {}): Answer =>
  text(JSON.stringify(value), "application/json; charset=utf-8", status, headers);

/** An answer with a text. */
export function text(
  content: string,
  type = "text/plain; charset=utf-8",
  status = 200,
  headers: Record<string, string> = {},
): Answer {
  const body = Buffer.from(content);
  return {
    status,
    headers: { "content-type": type, "content-length": String(body.byteLength), ...headers },
    body,
  };
}

/** What clients know the three kinds of missing things by. */
const missingCodes: Readonly<Record<MissingKind, string>> = {
  model: "RepoNotFound",
  revision: "RevisionNotFound",
  file: "EntryNotFound",
};

/** A refusal, by which each client raises its own exception: `X-Error-Code` decides, a HEAD has no body. */
export function refusal(
  status: number,
  message: string,
  { code, headers = {} }: { code?: string; headers?: Record<string, string> } = {},
): Answer {
  const said = headerText(message);
  return json({ error: message }, status, {
    "x-error-message": said,
    ...(code === undefined ? {} : { "x-error-code": code }),
    ...headers,
  });
}

/** At most so many characters of a message go into a header. */
const maxHeaderText = 500;

/** A text as a header can carry it. */
const headerText = (message: string): string =>
  message
    .replaceAll(/\s+/g, " ")
    .replaceAll(/[^\u0020-\u007e]/g, "?")
    .slice(0, maxHeaderText);

/** What a failure is answered with. `commit` of the revision that was asked, where it is known. */
export function failureAnswer(error: unknown): Answer {
  if (error instanceof NotOnHub) {
    const commit = (error.cause as { commit?: unknown } | undefined)?.commit;
    return refusal(404, error.message, {
      code: missingCodes[error.kind],
      headers: typeof commit === "string" ? { "x-repo-commit": commit } : {},
    });
  }
  if (error instanceof TooManyMisses) {
    return refusal(429, error.message, { headers: { "retry-after": String(error.seconds) } });
  }
  if (!(error instanceof OcibundleError)) return refusal(500, "internal error in ocibundle");
  const { message } = error;
  switch (error.code) {
    case "not_found":
      return refusal(404, message, { code: missingCodes.model });
    case "denied":
      // Clients take this for a model that is missing or private, and show the message.
      return refusal(401, message, { code: missingCodes.model });
    case "network":
    case "integrity":
    case "file":
      return refusal(502, message);
    case "interrupted":
    case "terminated":
    case "hangup":
      return refusal(503, "ocibundle is shutting down", { headers: { "retry-after": "1" } });
    default:
      return refusal(500, message);
  }
}
