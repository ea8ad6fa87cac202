import { dropOldest } from "../../flow/drop-oldest.ts";
import type { Credential } from "./credential.ts";
import { coversScopes, formatScope, joinScopes, type Scope } from "../message/scope.ts";
import type { Token, TokenRequest } from "./token.ts";

/** How long before its end a token is no longer used: a tenth of its life, this at most, in ms. */
const maxMargin = 30_000;

/** Tokens kept at once; the oldest go first. */
const maxTokens = 256;

interface Kept {
  /** Realm, service and whose credential. */
  family: string;
  scopes: readonly Scope[];
  token: Promise<Token>;
  value: string | undefined;
  /** When to fetch a new one; the end of time while the first is under way. */
  useUntil: number;
  /** Who still waits for the first; when nobody does, fetching it is given up. */
  waiting: number;
  giveUp: AbortController;
}

/** The tokens of one registry, kept for as long as they are valid. */
export interface TokenCache {
  /**
   * A token for the request's scopes: one that is kept and allows as much, or a new one. Many who ask
   * at the same time share one fetch, which goes on for as long as one of them wants it.
   */
  get(request: TokenRequest): Promise<string>;
  /** Forgets a token that a server refused. */
  drop(value: string): void;
}

/** Keeps tokens by realm, service, credential and scopes; in memory only. */
export function tokenCache(
  fetch: (request: TokenRequest) => Promise<Token>,
  now: () => number,
): TokenCache {
  const kept = new Map<string, Kept>();
  /** Newest refresh token by the one first found. */
  const rotated = new Map<string, string>();

  const newest = (credential: Credential | undefined): Credential | undefined =>
    credential?.kind === "refresh"
      ? { ...credential, token: rotated.get(credential.token) ?? credential.token }
      : credential;

  function find(family: string, key: string, scopes: readonly Scope[]): Kept | undefined {
    for (const [at, entry] of kept) if (entry.useUntil <= now()) kept.delete(at);
    const exact = kept.get(key);
    if (exact !== undefined || scopes.length === 0) return exact;
    for (const entry of kept.values()) {
      if (entry.family === family && coversScopes(entry.scopes, scopes)) return entry;
    }
    return undefined;
  }

  function start(request: TokenRequest, family: string, key: string): Kept {
    const giveUp = new AbortController();
    const asked = now();
    const fetching = async (): Promise<Token> => {
      try {
        const credential = newest(request.credential);
        const token = await fetch({ ...request, credential, signal: giveUp.signal });
        entry.value = token.value;
        entry.useUntil = token.expires - Math.min(maxMargin, (token.expires - asked) / 10);
        if (token.refresh !== undefined && request.credential?.kind === "refresh") {
          rotated.set(request.credential.token, token.refresh);
        }
        return token;
      } catch (error) {
        if (kept.get(key) === entry) kept.delete(key);
        throw error;
      }
    };
    const entry: Kept = {
      family,
      scopes: request.scopes,
      token: Promise.resolve().then(fetching),
      value: undefined,
      useUntil: Number.POSITIVE_INFINITY,
      waiting: 0,
      giveUp,
    };
    // Everybody who waits sees the failure; when nobody does it is no failure.
    entry.token.catch(() => undefined);
    kept.set(key, entry);
    dropOldest(kept, maxTokens);
    return entry;
  }

  return {
    async get(request) {
      const { signal } = request;
      signal.throwIfAborted();
      const scopes = joinScopes(request.scopes);
      const family = [
        request.realm.href,
        request.service ?? "",
        JSON.stringify(request.credential),
      ].join("\n");
      const key = `${family}\n${scopes.map(formatScope).join(" ")}`;
      const entry = find(family, key, scopes) ?? start({ ...request, scopes }, family, key);

      const { promise: aborted, reject } = Promise.withResolvers<never>();
      const onAbort = (): void => reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      entry.waiting++;
      try {
        return (await Promise.race([entry.token, aborted])).value;
      } finally {
        signal.removeEventListener("abort", onAbort);
        entry.waiting--;
        if (entry.waiting === 0 && entry.value === undefined) {
          if (kept.get(key) === entry) kept.delete(key);
          entry.giveUp.abort(signal.reason);
        }
      }
    },
    drop(value) {
      for (const [key, entry] of kept) if (entry.value === value) kept.delete(key);
    },
  };
}
