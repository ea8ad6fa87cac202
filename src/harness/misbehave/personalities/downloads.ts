import { setTimeout } from "node:timers/promises";
import { routeOf } from "../../registry/auth/access.ts";
import { type Layer } from "../../registry/auth/middleware.ts";
import { createSigner } from "../../registry/auth/signed.ts";
import { refuse } from "./answers.ts";

/** Answers 400 to a GET with `Range`. */
export const noRanges: Layer = (next) => async (request) =>
  request.headers.has("Range") && routeOf(request)?.resource === "blob"
    ? await refuse(request, 400, "UNSUPPORTED", "range requests are not supported")
    : await next(request);

/** Refuses a GET for several ranges at once. */
export const oneRangeOnly: Layer = (next) => async (request) =>
  request.headers.get("Range")?.includes(",") === true
    ? await refuse(request, 400, "UNSUPPORTED", "only one range per request is supported")
    : await next(request);

/** Reads the whole blob, so many bytes a second, before it sends any part of it. */
export const readsWholeBlobs =
  (rate: number): Layer =>
  (next) =>
  async (request) => {
    const response = await next(request);
    if (request.method !== "GET" || response.status !== 206) return response;
    if (routeOf(request)?.resource !== "blob") return response;
    const [, size = "0"] = /\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "") ?? [];
    await setTimeout((Number(size) / rate) * 1000);
    return response;
  };

const directory = "/_storage/";
const lifetime = 20 * 60 * 1000;

/**
 * Answers the GET of a blob with a redirect to another origin, which is this very server under its
 * other name (`localhost` for `127.0.0.1` and the other way round), with a signed URL. There, a request
 * that brings an Authorization of its own is an error, as it is at an object store.
 *
 * To be put around everything that asks for credentials.
 */
export function blobsElsewhere(now: () => number = Date.now): { store: Layer; redirect: Layer } {
  const signer = createSigner();
  let stored: ((path: string, range: string | null, url: URL) => Promise<Response>) | undefined;
  const store: Layer = (next) => async (request) => {
    const url = new URL(request.url);
    if (!url.pathname.startsWith(directory)) return await next(request);
    const expires = url.searchParams.get("Expires") ?? "";
    const signature = url.searchParams.get("Signature") ?? "";
    const path = `/${url.pathname.slice(directory.length)}`;
    if (request.headers.has("Authorization")) {
      return storeError(400, "InvalidArgument", "Only one auth mechanism allowed");
    }
    const signed = signer.isSigned(`${path} ${expires}`, signature);
    if (request.method !== "GET" || !signed || now() > Number(expires)) {
      return storeError(403, "AccessDenied", "The signature does not match the request");
    }
    const range = request.headers.get("Range");
    return (
      (await stored?.(path, range, url)) ??
      storeError(404, "NoSuchKey", "The object does not exist")
    );
  };
  const redirect: Layer = (next) => {
    stored = (path, range, url) =>
      next(new Request(new URL(path, url), { headers: range === null ? {} : { Range: range } }));
    return async (request) => {
      const response = await next(request);
      if (request.method !== "GET" || routeOf(request)?.resource !== "blob" || !response.ok) {
        return response;
      }
      await response.body?.cancel();
      const url = new URL(request.url);
      const expires = String(now() + lifetime);
      const query = new URLSearchParams({
        Expires: expires,
        Signature: signer.sign(`${url.pathname} ${expires}`),
      });
      const target = new URL(`${directory}${url.pathname.slice(1)}?${query}`, url);
      target.hostname = url.hostname === "localhost" ? "127.0.0.1" : "localhost";
      return new Response(null, { status: 307, headers: { Location: target.href } });
    };
  };
  return { store, redirect };
}

const storeError = (status: number, code: string, message: string): Response =>
  new Response(`<Error><Code>${code}</Code><Message>${message}</Message></Error>`, {
    status,
    headers: { "Content-Type": "application/xml" },
  });
