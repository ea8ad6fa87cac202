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
 * (distribution-spec v1.1, "Listing Tags"). Throws `network` for a link to another host or back
 * to a page, and as `request`.
 */
export async function* pages(api: Api, first: ApiRequest): AsyncGenerator<Page, void, undefined> {
  const name = first.repository === undefined ? api.host : `${api.host}/${first.repository}`;
  const on = `${name}: ${first.thing}`;
  const seen = new Set<string>();
  let url = first.url;
  for (;;) {
    seen.add(url.href);
    const response = await request(api, { ...first, url, maxDocument: maxManifestBytes });
    const bytes = await readCapped(response, maxManifestBytes, on);
    yield { response, bytes };
    if (response.status !== 200) return;
    const next = nextUrl(response, api.base, on);
    if (next === undefined) return;
    url = next;
    if (url.origin !== api.base.origin || seen.has(url.href) || seen.size >= maxPages) {
      throw new OcibundleError(
        "network",
        `${on}: the registry's list ${url.origin === api.base.origin ? "does not end" : `continues on another host, ${url.host}`}`,
      );
    }
  }
}

/** Where a list goes on; undefined at its end. Throws `network` for what can't be read. */
function nextUrl({ headers, url }: HttpResponse, base: URL, on: string): URL | undefined {
  let next: string | undefined;
  try {
    next = parseNextLink(headers.get("link"));
    if (next === undefined) return undefined;
    return onOwnOrigin(new URL(next, url), base);
  } catch (cause) {
    const what = next === undefined ? "a Link header" : "a link to its next page";
    throw new OcibundleError("network", `${on}: the list has ${what} that is not valid`, {
      cause,
    });
  }
}

/**
 * A registry behind a proxy that ends TLS may name itself with http, or with the port behind the proxy: the
 * same host is spoken to as before.
 */
function onOwnOrigin(url: URL, base: URL): URL {
  if (url.hostname !== base.hostname) return url;
  url.protocol = base.protocol;
  url.port = base.port;
  url.username = "";
  url.password = "";
  return url;
}
