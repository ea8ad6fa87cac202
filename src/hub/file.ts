import type { HttpResponse } from "../http/message/message.ts";
import type { ByteRange, ReadRange } from "../oci/content.ts";
import { formatRange } from "../registry/content-range.ts";
import { partAnswer } from "../remote/part-answer.ts";
import type { PartAnswer } from "../remote/part.ts";
import { readAhead, tooManyConnections } from "../remote/read-ahead.ts";
import type { Slots } from "../remote/slots.ts";
import type { HubClient } from "./client.ts";
import type { HubFile } from "./listing.ts";
import { statusOf } from "../remote/status-error.ts";
import { formatHubUri } from "./uri.ts";

/** What a storage answers to a URL whose signature ran out. */
const expired: ReadonlySet<number> = new Set([400, 401, 403, 404, 410]);

/** A file of a model at one commit. */
export interface HubFileAt {
  model: string;
  /** 40 hex digits. */
  commit: string;
  file: Pick<HubFile, "path" | "size">;
  /** Shared by all files of a run. */
  slots: Slots;
}

/**
 * Opens ranges of a file. The hub is asked once where the bytes are, and each range is then asked for there,
 * without the token; where that ends in a refusal the hub is asked again. Rejects with `integrity` where
 * the file has another size than was listed.
 */
export function hubFileOpener(
  client: HubClient,
  { model, commit, file, slots }: HubFileAt,
): ReadRange {
  const name = formatHubUri({ model, revision: commit, path: file.path });
  const path = file.path.split("/").map(encodeURIComponent).join("/");
  const root = client.endpoint.href.replace(/\/$/, "");
  const origin = new URL(`${root}/${model}/resolve/${commit}/${path}`);
  let location: URL | undefined;

  const ask = async (range: ByteRange, signal: AbortSignal): Promise<HttpResponse> => {
    const asked = {
      name,
      model,
      headers: { range: formatRange(range) },
      accept: [200, 206],
      large: true,
      signal,
    };
    const known = location;
    if (known !== undefined) {
      try {
        return await client.get({ ...asked, url: known });
      } catch (error) {
        if (!expired.has(statusOf(error) ?? 0)) throw error;
        if (location === known) location = undefined;
      }
    }
    const response = await client.get({ ...asked, url: location ?? origin });
    if (response.url.href !== origin.href) location = response.url;
    return response;
  };

  const open = async (range: ByteRange, signal: AbortSignal): Promise<PartAnswer> =>
    partAnswer(await ask(range, signal), {
      range,
      size: file.size,
      name,
      server: "hub",
      hint: "check that HF_ENDPOINT is a hub, and try again",
    });

  return readAhead({
    open,
    slots,
    name,
    isTooMany: (error) => tooManyConnections.has(statusOf(error) ?? 0),
  });
}
