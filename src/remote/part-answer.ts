import { OcibundleError } from "../errors.ts";
import { codingNames } from "../http/message/content-coding.ts";
import type { HttpResponse } from "../http/message/message.ts";
import type { ByteRange } from "../oci/content.ts";
import { parseContentRange } from "../registry/content-range.ts";
import type { PartAnswer } from "./part.ts";

/** What was asked for, against which an answer is checked. */
export interface PartWanted {
  range: ByteRange;
  /** Of the whole file, in bytes. */
  size: number;
  /** For messages: the file, what sent the answer, and what to do about one that breaks the rules. */
  name: string;
  server: string;
  hint?: string | undefined;
}

/**
 * What a 200 or 206 holds of a file whose size is known. Throws `integrity` where the file has another size
 * now, `network` for an answer to another question.
 */
export function partAnswer(response: HttpResponse, wanted: PartWanted): PartAnswer {
  const { range, size, name, server, hint } = wanted;
  const { status, headers } = response;
  const body = response.body ?? new Blob([]).stream();
  const refuse = (code: "integrity" | "network", why: string): OcibundleError => {
    void body.cancel().catch(() => undefined);
    return new OcibundleError(code, `the ${server} ${why}`, { subject: name, hint });
  };
  if (codingNames(headers).length > 0) {
    throw refuse("network", "sent compressed content that was not requested");
  }
  const otherSize = (has: string): OcibundleError =>
    refuse("integrity", `has ${has} bytes, but ${size} were listed`);
  if (status === 200) {
    const length = headers.get("content-length");
    if (length !== null && length !== String(size)) throw otherSize(length);
    return { range: { start: 0, end: size }, body };
  }
  const got = parseContentRange(headers.get("content-range"));
  if (got === undefined || got.range.start !== range.start || got.range.end !== range.end) {
    throw refuse("network", "sent a range that was not requested");
  }
  if (got.total !== undefined && got.total !== size) throw otherSize(String(got.total));
  return { range, body };
}
