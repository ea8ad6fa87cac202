import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import { discard, readUpTo } from "../message/body.ts";
import { failureError } from "../message/failure.ts";
import type { HttpRequest, HttpResponse, Send } from "../message/message.ts";
import { askedToWait } from "../message/retry-after.ts";
import { isTransient } from "../../retry/transient.ts";
import { basicAuthorization, type Credential } from "./credential.ts";
import { formatScope, type Scope } from "../message/scope.ts";

/** A token answer larger than this is none. */
const maxTokenBytes = 1024 * 1024;

const clientId = "ocibundle";

/** What a token that says nothing about its life lives, in seconds (distribution, token spec). */
const defaultLifetime = 60;

/**
 * distribution, docs/spec/auth/token.md and oauth.md. Servers leave out what they do not have, or give it as
 * null or as an empty text. Go's clients take the names in any case, and so some servers write them so.
 */
const TokenSchema = v.looseObject({
  token: v.optional(v.unknown()),
  access_token: v.optional(v.unknown()),
  refresh_token: v.optional(v.unknown()),
  expires_in: v.optional(v.unknown()),
});

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";

/** How long a token lives, in seconds: some servers give a number as a text, some a nonsense. */
function lifetimeOf(given: unknown): number {
  const seconds = typeof given === "number" || isText(given) ? Number(given) : 0;
  return Number.isFinite(seconds) && seconds > 0 ? seconds : defaultLifetime;
}

/** A bearer token as a realm issued it. */
export interface Token {
  value: string;
  /** When it may no longer be used, in milliseconds of the clock it was fetched by. */
  expires: number;
  /** A newer refresh token, where the server gives one. */
  refresh?: string;
}

/** What a token is asked for; `realm` and `service` are from the challenge. */
export interface TokenRequest {
  /** The registry, for messages. */
  host: string;
  realm: URL;
  service: string | undefined;
  scopes: readonly Scope[];
  /** Undefined: an anonymous token is asked for. */
  credential: Credential | undefined;
  signal: AbortSignal;
}

/**
 * Asks a token server for a token: GET with Basic credentials or none, POST with a refresh token
 * (falling back to GET where the server has no POST and the user's name is known).
 * Throws `denied` when it refuses, `network` when it can't be used.
 */
export async function fetchToken(
  send: Send,
  request: TokenRequest,
  now: () => number,
): Promise<Token> {
  const { credential } = request;
  const asked = now();
  let response: HttpResponse;
  if (credential?.kind === "refresh") {
    response = await send(refreshRequest(request, credential.token));
    const username = credential.username;
    if ([400, 401, 404, 405].includes(response.status) && username !== undefined) {
      await discard(response);
      response = await send(getRequest(request, username, credential.token));
    }
  } else if (credential?.kind === "password") {
    response = await send(getRequest(request, credential.username, credential.password));
  } else response = await send(getRequest(request));
  return readToken(response, request, asked, now);
}

function getRequest(request: TokenRequest, username?: string, password?: string): HttpRequest {
  const url = new URL(request.realm);
  if (request.service !== undefined) url.searchParams.set("service", request.service);
  for (const scope of request.scopes) url.searchParams.append("scope", formatScope(scope));
  url.searchParams.set("client_id", clientId);
  if (username !== undefined) url.searchParams.set("account", username);
  return {
    method: "GET",
    url,
    headers: {
      accept: "application/json",
      ...(username === undefined || password === undefined
        ? {}
        : { authorization: basicAuthorization(username, password) }),
    },
    carriesLogin: password !== undefined,
    repeatable: "always",
    scopes: [],
    signal: request.signal,
  };
}

function refreshRequest(request: TokenRequest, refreshToken: string): HttpRequest {
  const form = new URLSearchParams({
    grant_type: "refresh_token",
    client_id: clientId,
    refresh_token: refreshToken,
  });
  if (request.service !== undefined) form.set("service", request.service);
  if (request.scopes.length > 0) form.set("scope", request.scopes.map(formatScope).join(" "));
  const bytes = new TextEncoder().encode(form.toString());
  return {
    method: "POST",
    url: request.realm,
    headers: { accept: "application/json", "content-type": "application/x-www-form-urlencoded" },
    body: { size: bytes.byteLength, make: () => Promise.resolve(bytes) },
    secretBody: true,
    carriesLogin: true,
    repeatable: "always",
    scopes: [],
    signal: request.signal,
  };
}

async function readToken(
  response: HttpResponse,
  request: TokenRequest,
  asked: number,
  now: () => number,
): Promise<Token> {
  const on = `token server ${request.realm.host}`;
  const subject = request.host;
  const { status } = response;
  if (isTransient(status)) {
    await discard(response);
    throw failureError(request.host, "status", {
      what: `token server ${request.realm.host} answered ${status}`,
      retryAfter: askedToWait(response.headers, now()),
    });
  }
  if (status < 200 || status > 299) {
    await discard(response);
    if (status < 400 || status > 499) {
      throw new OcibundleError("network", `${on} answered ${status}`, { subject });
    }
    throw new OcibundleError(
      "denied",
      request.credential === undefined
        ? `${on} requires a login (${status})`
        : `${on} rejected the credentials (${status})`,
      { subject, hint: `log in with \`ocibundle login ${request.host}\`` },
    );
  }
  const { bytes, cut } = await readUpTo(response, maxTokenBytes);
  const parsed = cut ? undefined : parseToken(bytes);
  const value = [parsed?.token, parsed?.access_token].find(isText);
  if (parsed === undefined || value === undefined || !isToken(value)) {
    throw new OcibundleError("network", `${on} sent an invalid token`, {
      subject,
    });
  }
  return {
    value,
    expires: asked + lifetimeOf(parsed.expires_in) * 1000,
    ...(isText(parsed.refresh_token) ? { refresh: parsed.refresh_token } : {}),
  };
}

/** Whether a text can stand in a header as a token. */
export const isToken = (text: string): boolean => /^[\x21-\x7e]+$/.test(text);

/** An object with its names in lower case; of two that differ in case, the one that is in lower case counts. */
function inLowerCase(json: unknown): unknown {
  if (typeof json !== "object" || json === null) return json;
  const lower = Object.entries(json).map(([key, value]) => [key.toLowerCase(), value] as const);
  return { ...Object.fromEntries(lower), ...json };
}

function parseToken(bytes: Uint8Array): v.InferOutput<typeof TokenSchema> | undefined {
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(bytes));
    const result = v.safeParse(TokenSchema, inLowerCase(json));
    return result.success ? result.output : undefined;
  } catch {
    return undefined;
  }
}
