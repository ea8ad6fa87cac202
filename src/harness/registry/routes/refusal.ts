import { jsonResponse } from "./json-response.ts";

/** Codes of the `errors` list (distribution-spec v1.1, error-codes). */
export type RefusalCode =
  | "BLOB_UNKNOWN"
  | "BLOB_UPLOAD_INVALID"
  | "BLOB_UPLOAD_UNKNOWN"
  | "DENIED"
  | "DIGEST_INVALID"
  | "MANIFEST_BLOB_UNKNOWN"
  | "MANIFEST_INVALID"
  | "MANIFEST_UNKNOWN"
  | "NAME_INVALID"
  | "NAME_UNKNOWN"
  | "PAGINATION_NUMBER_INVALID"
  | "SIZE_INVALID"
  | "TOOMANYREQUESTS"
  | "UNAUTHORIZED"
  | "UNKNOWN"
  | "UNSUPPORTED";

/** What a client is told about one fault. */
interface Fault {
  code: RefusalCode;
  message: string;
  detail?: unknown;
}

/**
 * A request that can't be done, on its way to the client. Thrown inside the server only: what a user of
 * ocibundle sees of a failure is the client's OcibundleError.
 */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  readonly faults: readonly Fault[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    fault: Fault | readonly [Fault, ...Fault[]],
    headers: Record<string, string> = {},
  ) {
    const faults: readonly Fault[] = "code" in fault ? [fault] : fault;
    super(faults[0]?.message);
    this.status = status;
    this.faults = faults;
    this.headers = headers;
  }
}

/** The answer that says so. `HEAD` has no body (RFC 9110, 9.3.2). */
export function refusalResponse(refusal: Refusal, method: string): Response {
  const { status, headers, faults } = refusal;
  const answer = jsonResponse({ errors: faults }, { status, headers });
  return method === "HEAD" ? new Response(null, answer) : answer;
}
