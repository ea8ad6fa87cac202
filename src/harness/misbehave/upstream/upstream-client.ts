import * as v from "valibot";
import { runtime } from "../../../runtime/current.ts";

/** Types of manifests to ask for: what is not named here may be turned into something else. */
const manifestTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/** Asks another registry for a path of the API. */
export type Ask = (path: string, method: "GET" | "HEAD") => Promise<Response>;

/** How long upstream may take to begin an answer, in milliseconds. */
const patience = 60_000;

/** Sends a request and waits for the beginning of its answer; the body may take what it takes. */
async function send(
  url: URL,
  method: string,
  authorization: string | undefined,
): Promise<Response> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), patience);
  try {
    return await fetch(url, {
      ...runtime.connection({}),
      method,
      signal: deadline.signal,
      headers: {
        accept: `${manifestTypes}, */*`,
        "accept-encoding": "identity",
        ...(authorization === undefined ? {} : { authorization }),
      },
    });
  } finally {
    clearTimeout(timer);
  }
}

const TokenSchema = v.object({
  token: v.optional(v.string()),
  access_token: v.optional(v.string()),
});

/** Asks another registry, with the user and password of its URL, or with a token for anybody. */
export function upstreamClient(upstream: URL): Ask {
  const { username, password } = upstream;
  const basic =
    username === ""
      ? undefined
      : `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString("base64")}`;
  const tokens = new Map<string, string>();
  return async (path, method) => {
    const url = new URL(`${upstream.pathname.replace(/\/$/, "")}${path}`, upstream.origin);
    const repository = path.replace(/\/(?:blobs|manifests)\/[^/]+$/, "");
    const response = await send(url, method, tokens.get(repository) ?? basic);
    if (response.status !== 401) return response;
    const realm = tokenUrl(response.headers.get("WWW-Authenticate"), upstream);
    if (realm === undefined) return response;
    await response.body?.cancel();
    const answer = await send(realm, "GET", basic);
    if (!answer.ok) return answer;
    const { token, access_token: access = token } = v.parse(TokenSchema, await answer.json());
    if (access === undefined) throw new Error("the token server sent no token");
    tokens.set(repository, `Bearer ${access}`);
    return await send(url, method, `Bearer ${access}`);
  };
}

/**
 * Where a challenge of upstream's says that tokens are, with what it says one is needed for; undefined
 * when it asks for something else. Upstream's password goes there: throws where the way to it is less
 * safe than the one to upstream.
 */
export function tokenUrl(header: string | null, upstream: URL): URL | undefined {
  if (!/^bearer /i.test(header ?? "")) return undefined;
  const said = new Map(
    [...(header ?? "").matchAll(/(\w+)="([^"]*)"/g)].map(([, name = "", value = ""]) => [
      name,
      value,
    ]),
  );
  const realm = said.get("realm") ?? "";
  if (!URL.canParse(realm)) return undefined;
  const url = new URL(realm);
  if (url.protocol !== "https:" && url.protocol !== upstream.protocol) {
    throw new Error("the upstream token server does not use HTTPS");
  }
  for (const name of ["service", "scope"]) {
    const value = said.get(name);
    if (value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}
