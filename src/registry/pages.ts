import { OcibundleError } from "../errors.ts";
import { readCapped } from "../http/message/body.ts";
import type { HttpResponse } from "../http/message/message.ts";
import { maxManifestBytes } from "../oci/document.ts";
import { type Api, type ApiRequest, request } from "./api.ts";
import { parseNextLink } from "./link.ts";

/** A list with more pages than this is taken for one without an end. */
const maxPages = 10_000;

/** One page of a list. */
export interface Page {
  response: HttpResponse;
  bytes: Uint8Array;
}

/**
 * The pages of a list, each at most as large as a manifest, following `Link: rel="next"`
 * (distribution-spec v1.1, "Listing Tags"). A link to another host or back to a page is refused.
 */
export async function* pages(api: Api, first: ApiRequest): AsyncGenerator<Page, void, undefined> {
  const on = `${api.host}/${first.repository}: ${first.thing}`;
  const seen = new Set<string>();
  let url = first.url;
  for (;;) {
    seen.add(url.href);
    const response = await request(api, { ...first, url, maxDocument: maxManifestBytes });
    const bytes = await readCapped(response, maxManifestBytes, on);
    yield { response, bytes };
    const next = parseNextLink(response.headers.get("link"));
    if (next === undefined || response.status !== 200) return;
    if (!URL.canParse(next, response.url)) return;
    url = new URL(next, response.url);
    if (url.origin !== api.base.origin || seen.has(url.href) || seen.size >= maxPages) {
      throw new OcibundleError(
        "network",
        `${on}: the registry's list goes on ${url.origin === api.base.origin ? "without an end" : `at another host, ${url.host}`}`,
      );
    }
  }
}
