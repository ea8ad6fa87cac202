import * as v from "valibot";
import { Refusal, refusalResponse } from "../routes/refusal.ts";
import { type Access, allows, formatScope, neededAccess } from "./access.ts";
import type { Account } from "./account.ts";
import { changed, type Layer } from "./middleware.ts";
import { accessText, createSigner, type Signer } from "./signed.ts";
import { answerTokenRequest } from "./token-realm.ts";

/** How tokens are given and what they are worth. */
export interface TokenAuthOptions {
  /** Who gets tokens; anybody does when undefined. */
  account?: Account | undefined;
  /** The path of the realm on this server; `/token` unless given. */
  realm?: string | undefined;
  /** How long a token is valid, in milliseconds; five minutes unless given. */
  lifetime?: number | undefined;
  /** Milliseconds since 1970; the system's clock unless given. */
  now?: (() => number) | undefined;
}

/** The `service` of the challenge, and who tokens are for. */
const service = "ocibundle";

const defaultLifetime = 5 * 60 * 1000;

/**
 * Asks for a token with every request, and gives tokens at a realm of its own (distribution,
 * docs/spec/auth): a token is for the scopes that were asked for, and for a time.
 */
export function tokenAuth(options: TokenAuthOptions = {}): Layer {
  const { account, realm = "/token", lifetime = defaultLifetime, now = Date.now } = options;
  const signer = createSigner();
  return (next) => async (request) => {
    const url = new URL(request.url);
    if (url.pathname === realm) {
      return await answerTokenRequest(request, { account, signer, lifetime, now });
    }
    const needed = neededAccess(request);
    const granted = readToken(request.headers.get("Authorization"), signer, now());
    if (granted === undefined || (needed !== undefined && !allows(granted, needed))) {
      return challenge(new URL(realm, url), request, needed, granted);
    }
    return await next(withoutForeignMount(request, url, granted));
  };
}

function challenge(
  realm: URL,
  request: Request,
  needed: Access | undefined,
  granted: readonly Access[] | undefined,
): Response {
  const parameters = {
    realm: realm.href,
    service,
    ...(needed === undefined ? {} : { scope: formatScope(needed) }),
    ...(granted === undefined
      ? request.headers.has("Authorization")
        ? { error: "invalid_token" }
        : {}
      : { error: "insufficient_scope" }),
  };
  const words = Object.entries(parameters).map(([name, value]) => `${name}="${value}"`);
  const refusal = new Refusal(
    401,
    { code: "UNAUTHORIZED", message: "a token is required", detail: needed },
    { "WWW-Authenticate": `Bearer ${words.join(",")}` },
  );
  return refusalResponse(refusal, request.method);
}

/**
 * A mount out of a repository that the token does not let one read is an upload like any other; so is one
 * that names no repository, which would take the blob out of any.
 */
function withoutForeignMount(request: Request, url: URL, granted: readonly Access[]): Request {
  if (!url.searchParams.has("mount")) return request;
  // Several, or an empty one, are none that was checked.
  const [from = "", ...others] = url.searchParams.getAll("from");
  const isNamed = from !== "" && others.length === 0;
  if (isNamed && allows(granted, { type: "repository", name: from, actions: ["pull"] })) {
    return request;
  }
  url.searchParams.delete("mount");
  url.searchParams.delete("from");
  return changed(request, { url });
}

const ClaimsSchema = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({
    /** Milliseconds since the epoch. */
    expires: v.number(),
    access: v.array(v.object({ type: v.string(), name: v.string(), actions: v.array(v.string()) })),
  }),
);

/** What a token grants; undefined where there is none, or one that is not ours or no longer good. */
function readToken(header: string | null, signer: Signer, now: number): Access[] | undefined {
  const [, claims, signature] = /^bearer +([\w-]+)\.([\w-]+)$/i.exec(header ?? "") ?? [];
  if (
    claims === undefined ||
    signature === undefined ||
    !signer.isSigned(accessText(claims), signature)
  ) {
    return undefined;
  }
  const { success, output } = v.safeParse(
    ClaimsSchema,
    Buffer.from(claims, "base64url").toString("utf8"),
  );
  return success && now < output.expires ? output.access : undefined;
}
