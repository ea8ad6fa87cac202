import { OcibundleError } from "../../errors.ts";
import { discard } from "../message/body.ts";
import {
  type HttpRequest,
  type HttpResponse,
  type Send,
  withoutBound,
} from "../message/message.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import { basicAuthorization, type FindCredential } from "./credential.ts";
import { keptCredentials } from "./kept-credentials.ts";
import { checkRealm } from "./realm.ts";
import type { Secrets } from "./secrets.ts";
import { parseScopes, type Scope } from "../message/scope.ts";
import { fetchToken, isToken } from "./token.ts";
import { tokenCache } from "./token-cache.ts";

/** Whose challenges are answered, and with what. */
export interface AuthorizeOptions {
  /** The registry as the user wrote it. */
  host: string;
  /** Its base URL: only this origin is ever authorised. */
  url: URL;
  /** Whether the registry is asked by plain HTTP: its realm may be as well. */
  plainHttp: boolean;
  /** Looks up a login; asked only after a challenge. */
  credentials: FindCredential;
  /** Told what is sent to show who one is. */
  secrets?: Secrets | undefined;
  /** Milliseconds since 1970. */
  now: () => number;
}

/** What the registry asked for last. */
type Demand = { scheme: "basic" } | { scheme: "bearer"; realm: URL; service: string | undefined };

interface Authorization {
  value: string;
  /** The token in it, where it can be replaced. */
  token?: string;
}

/**
 * Answers the registry's challenges. The first request goes out anonymously; from then on requests
 * carry what was asked for, so that no body is sent in vain. A 401 in between (a token that ended in
 * the middle of a transfer) is answered once with a new token.
 *
 * Some registries hide from strangers what needs a login (404, 403 or another refusal) and ask for one at `/v2/`
 * alone: they are asked there, once, before such an answer is believed.
 *
 * Other origins (where an upload's location or a redirect leads) get nothing of the user's. Where a redirect
 * leads to another registry, its challenge is answered with the token that anybody may have.
 */
export function authorize(next: Send, options: AuthorizeOptions): Send {
  const { host, url: registry, now, secrets } = options;
  const tokens = tokenCache((request) => fetchToken(next, request, now), now);
  const credentialFor = keptCredentials(options.credentials, host, now);
  let demand: Demand | undefined;

  function readDemand(challenges: readonly Challenge[]): Demand | undefined {
    const bearer = challenges.find(({ scheme }) => scheme === "bearer");
    const basic = challenges.some(({ scheme }) => scheme === "basic");
    if (bearer === undefined) return basic ? { scheme: "basic" } : undefined;
    try {
      const realm = checkRealm(bearer.parameters.get("realm"), options);
      return { scheme: "bearer", realm, service: bearer.parameters.get("service") };
    } catch (error) {
      if (basic && error instanceof OcibundleError) return { scheme: "basic" };
      throw error;
    }
  }

  /** A bearer challenge of another origin, answered without a login; undefined where it can't be. */
  async function strangersToken(
    request: HttpRequest,
    { url, headers }: HttpResponse,
  ): Promise<string | undefined> {
    const bearer = challengesOf(headers).find(({ scheme }) => scheme === "bearer");
    if (bearer === undefined) return undefined;
    try {
      const stranger = { host: url.host, url, plainHttp: options.plainHttp };
      const asked = parseScopes(bearer.parameters.get("scope") ?? "");
      return await tokens.get({
        host: url.host,
        realm: checkRealm(bearer.parameters.get("realm"), stranger),
        service: bearer.parameters.get("service"),
        scopes: asked.length > 0 ? asked : request.scopes,
        credential: undefined,
        signal: request.signal,
      });
    } catch (error) {
      request.signal.throwIfAborted();
      if (error instanceof OcibundleError) return undefined;
      throw error;
    }
  }

  /** What the registry asks for at its base, where it has not asked for anything yet. */
  let base: Promise<Demand | undefined> | undefined;
  async function askBase(signal: AbortSignal): Promise<Demand | undefined> {
    try {
      const ping = { method: "GET", headers: {}, repeatable: "always", scopes: [] } as const;
      const response = await next({ ...ping, url: registry, signal });
      await discard(response);
      const asks = response.status === 401 && isRegistry(response);
      return asks ? readDemand(challengesOf(response.headers)) : undefined;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof OcibundleError) return undefined;
      throw error;
    }
  }

  /** The answer to a request that a stranger was refused; undefined when nothing else is to be had. */
  async function askKnown(request: HttpRequest): Promise<HttpResponse | undefined> {
    base ??= askBase(request.signal);
    const asked = await base.catch((error: unknown) => {
      base = undefined;
      throw error;
    });
    if (asked === undefined) return undefined;
    const known = await meet(asked, request, request.scopes).catch(async (error: unknown) => {
      // A token server that wants a login says no more than the answer that there is.
      if ((await credentialFor(request.repository)) !== undefined) throw error;
      request.signal.throwIfAborted();
      return undefined;
    });
    if (known === undefined) return undefined;
    demand ??= asked;
    return next(authorized(request, known));
  }

  async function meet(
    asked: Demand,
    request: HttpRequest,
    scopes: readonly Scope[],
  ): Promise<Authorization | undefined> {
    const credential = await credentialFor(request.repository);
    if (credential !== undefined) secrets?.addCredential(credential);
    if (credential?.kind === "bearer") {
      // Fetch would refuse it too, and show it in its error.
      if (isToken(credential.token)) return { value: `Bearer ${credential.token}` };
      throw new OcibundleError("denied", "the stored registry token is not a valid token", {
        subject: host,
        hint: "run `ocibundle login` again",
      });
    }
    if (asked.scheme === "basic") {
      if (credential?.kind !== "password") return undefined;
      return { value: basicAuthorization(credential.username, credential.password) };
    }
    const token = await tokens.get({
      host,
      realm: asked.realm,
      service: asked.service,
      scopes,
      credential,
      signal: request.signal,
    });
    secrets?.addToken(token);
    return { value: `Bearer ${token}`, token };
  }

  const isRegistry = (response: HttpResponse): boolean => response.url.origin === registry.origin;

  return async (request) => {
    if (request.url.origin !== registry.origin) return next(request);
    const first = demand === undefined ? undefined : await meet(demand, request, request.scopes);
    const response = await next(authorized(request, first));
    if (response.status === 401 && !isRegistry(response)) {
      const token = await strangersToken(request, response);
      if (token === undefined) return response;
      await discard(response);
      const headers = withoutBound(request.headers);
      const value = `Bearer ${token}`;
      return next(authorized({ ...request, url: response.url, headers }, { value }));
    }
    if (
      isHiding(response.status, request) &&
      isRegistry(response) &&
      first === undefined &&
      request.body === undefined &&
      request.url.pathname !== registry.pathname
    ) {
      const answer = await askKnown(request);
      if (answer === undefined) return response;
      await discard(response);
      return answer;
    }
    if (response.status !== 401 || !isRegistry(response)) return response;

    const challenges = challengesOf(response.headers);
    if (first?.token !== undefined) tokens.drop(first.token);
    const asked = readDemand(challenges);
    if (asked === undefined) {
      if (challenges.length === 0) return response;
      await discard(response);
      throw unknownSchemes(host, challenges);
    }
    demand = asked;
    const more = challenges.flatMap(({ scheme, parameters }) =>
      scheme === "bearer" ? parseScopes(parameters.get("scope") ?? "") : [],
    );
    const second = await meet(asked, request, [...request.scopes, ...more]);
    // The same answer again would be refused again.
    if (second === undefined || second.value === first?.value) return response;
    await discard(response);
    return next(authorized(request, second));
  };
}

/** Whether a status may stand for the wish for a login. What is about ranges or the number of requests does not. */
function isHiding(status: number, { headers }: HttpRequest): boolean {
  if (status === 403 || status === 404) return true;
  if (new Headers(headers).has("range")) return false;
  return status >= 400 && status < 500 && ![401, 408, 416, 429].includes(status);
}

function challengesOf(headers: Headers): Challenge[] {
  const header = headers.get("www-authenticate");
  return header === null ? [] : parseChallenges(header);
}

/** Nothing that a login would help with. */
function unknownSchemes(host: string, challenges: readonly Challenge[]): OcibundleError {
  const schemes = [...new Set(challenges.map(({ scheme }) => scheme.slice(0, 20)))].slice(0, 3);
  return new OcibundleError(
    "denied",
    `the registry requires authentication by ${schemes.join(", ")}; only basic and bearer are supported (401)`,
    {
      subject: host,
      hint: "configure the registry, or the proxy in front of it, for basic or bearer authentication",
    },
  );
}

function authorized(request: HttpRequest, authorization: Authorization | undefined): HttpRequest {
  if (authorization === undefined) return request;
  return { ...request, headers: { ...request.headers, authorization: authorization.value } };
}
