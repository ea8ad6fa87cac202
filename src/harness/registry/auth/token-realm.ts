import { jsonResponse } from "../routes/json-response.ts";
import { type Access, parseScope } from "./access.ts";
import { type Account, basicAccount, isAccount, sameSecret } from "./account.ts";
import { accessText, refreshText, type Signer } from "./signed.ts";

/** Who issues tokens, to whom, and how long they live. */
export interface TokenRealm {
  account: Account | undefined;
  signer: Signer;
  /** What a token lives, in milliseconds. */
  lifetime: number;
  now: () => number;
}

/** What a request for a token asks, however it was sent. */
interface TokenQuestion {
  allowed: boolean;
  scopes: string[];
  /** Whether a token to get tokens with is wanted. */
  refresh: boolean;
}

const maxFormBytes = 64 * 1024;

/**
 * Answers a request for a token: `GET` with Basic credentials (distribution, docs/spec/auth/token.md)
 * or a `POST` with a password or a refresh token (oauth.md).
 */
export async function answerTokenRequest(request: Request, realm: TokenRealm): Promise<Response> {
  if (request.method === "GET") {
    const query = new URL(request.url).searchParams;
    const found = basicAccount(request.headers.get("Authorization"));
    return token(
      {
        allowed: realm.account === undefined || isAccount(found, realm.account),
        scopes: query.getAll("scope"),
        refresh: query.get("offline_token") === "true",
      },
      realm,
    );
  }
  if (request.method !== "POST") return new Response(null, { status: 405 });
  const form = await readForm(request);
  if (form === undefined) return jsonResponse({ error: "invalid_request" }, { status: 400 });
  return token(
    {
      allowed: isGranted(form, realm),
      scopes: form.getAll("scope"),
      refresh: form.get("access_type") === "offline" || form.get("grant_type") === "refresh_token",
    },
    realm,
  );
}

async function readForm(request: Request): Promise<URLSearchParams | undefined> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of request.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > maxFormBytes) return undefined;
  }
  return new URLSearchParams(text);
}

function isGranted(form: URLSearchParams, { account, signer }: TokenRealm): boolean {
  const given = (name: string): string => form.get(name) ?? "";
  switch (form.get("grant_type")) {
    case "password":
      return (
        account === undefined ||
        isAccount({ username: given("username"), password: given("password") }, account)
      );
    case "refresh_token":
      return sameSecret(given("refresh_token"), signer.sign(refreshText));
    default:
      return false;
  }
}

function token(
  { allowed, scopes, refresh }: TokenQuestion,
  { signer, lifetime, now }: TokenRealm,
): Response {
  if (!allowed) {
    return jsonResponse({ error: "access_denied" }, { status: 401 });
  }
  const access = scopes
    .flatMap((scope) => scope.split(" "))
    .map(parseScope)
    .filter((found): found is Access => found !== undefined);
  const issued = now();
  const claims = Buffer.from(JSON.stringify({ expires: issued + lifetime, access })).toString(
    "base64url",
  );
  const value = `${claims}.${signer.sign(accessText(claims))}`;
  return jsonResponse({
    token: value,
    access_token: value,
    expires_in: lifetime / 1000,
    issued_at: new Date(issued).toISOString(),
    ...(refresh ? { refresh_token: signer.sign(refreshText) } : {}),
  });
}
