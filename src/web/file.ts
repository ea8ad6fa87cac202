import { OcibundleError } from "../errors.ts";
import { codingNames } from "../http/message/content-coding.ts";
import type { HttpResponse } from "../http/message/message.ts";
import type { ByteRange, ReadRange } from "../oci/content.ts";
import { formatRange, parseContentRange } from "../registry/content-range.ts";
import { partAnswer } from "../remote/part-answer.ts";
import type { PartAnswer } from "../remote/part.ts";
import { readAhead, tooManyConnections } from "../remote/read-ahead.ts";
import type { Slots } from "../remote/slots.ts";
import { isSteady } from "../remote/steady.ts";
import { statusOf } from "../remote/status-error.ts";
import { shownUrl, type WebAddress } from "./url.ts";

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

/** What a storage answers to a URL whose signature ran out. */
const expired: ReadonlySet<number> = new Set([400, 401, 403, 404, 410]);

/**
 * Makes a GET request, redirects followed. `name` is the file in messages; statuses but those in `accept` are thrown:
 * `not_found`, `denied`, `network`, with a `StatusError` as the cause.
 */
export type GetAnswer = (
  url: URL,
  name: string,
  headers: Readonly<Record<string, string>>,
  accept: readonly number[],
  signal: AbortSignal,
) => Promise<HttpResponse>;

/**
 * Looks at a file: its size and its state. A HEAD would be refused where a GET was signed, so that the first byte is
 * asked for. Throws as `get` does, and `network` for a file that is only sent compressed.
 */
export async function lookAt(
  get: GetAnswer,
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
