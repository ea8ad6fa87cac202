import { describe, expect, test } from "bun:test";
import { repositoryScope, type Scope } from "../../../../src/http/message/scope.ts";
import type { Token, TokenRequest } from "../../../../src/http/auth/token.ts";
import { tokenCache } from "../../../../src/http/auth/token-cache.ts";
import { never, recordedClock } from "../../../support/registry/scripted-server.ts";
import { errorOf } from "../../../support/failure.ts";

const pull = repositoryScope("a", "pull");
const push = repositoryScope("a", "pull", "push");

const asking = (scopes: readonly Scope[], more: Partial<TokenRequest> = {}): TokenRequest => ({
  host: "registry.test",
  realm: new URL("https://auth.test/token"),
  service: "s",
  scopes,
  credential: undefined,
  signal: never,
  ...more,
});

function cacheOf(fetch?: (request: TokenRequest, count: number) => Promise<Token>) {
  const clock = recordedClock();
  const asked: TokenRequest[] = [];
  const cache = tokenCache((request) => {
    asked.push(request);
    return (
      fetch?.(request, asked.length) ??
      Promise.resolve({ value: `t${asked.length}`, expires: clock.now() + 300_000 })
    );
  }, clock.now);
  return { cache, clock, asked };
}

test("many who wait share one fetch", async () => {
  const { cache, asked } = cacheOf();
  const all = await Promise.all(Array.from({ length: 50 }, () => cache.get(asking([pull]))));
  expect(new Set(all)).toEqual(new Set(["t1"]));
  expect(asked).toHaveLength(1);
});

test("a token is used until shortly before its end", async () => {
  const { cache, clock, asked } = cacheOf();
  await cache.get(asking([pull]));
  clock.advance(269_000);
  expect(await cache.get(asking([pull]))).toBe("t1");
  clock.advance(2000);
  expect(await cache.get(asking([pull]))).toBe("t2");
  expect(asked).toHaveLength(2);
});

test("a token that allows more is enough, one that allows less is not", async () => {
  const { cache } = cacheOf();
  expect(await cache.get(asking([pull]))).toBe("t1");
  expect(await cache.get(asking([push]))).toBe("t2");
  expect(await cache.get(asking([repositoryScope("a", "push")]))).toBe("t2");
  expect(await cache.get(asking([repositoryScope("b", "pull")]))).toBe("t3");
});

test("realms, services and credentials are kept apart", async () => {
  const { cache } = cacheOf();
  const requests = [
    asking([pull]),
    asking([pull], { realm: new URL("https://auth.test/other") }),
    asking([pull], { service: "other" }),
    asking([pull], { credential: { kind: "password", username: "u", password: "p" } }),
  ];
  const tokens: string[] = [];
  for (const request of requests) tokens.push(await cache.get(request));
  expect(tokens).toEqual(["t1", "t2", "t3", "t4"]);
});

test("a dropped token is fetched anew, and once only", async () => {
  const { cache } = cacheOf();
  await cache.get(asking([pull]));
  cache.drop("t1");
  expect(await cache.get(asking([pull]))).toBe("t2");
  cache.drop("t1");
  expect(await cache.get(asking([pull]))).toBe("t2");
});

test("a failure is not kept", async () => {
  const { cache } = cacheOf((_, count) =>
    count === 1
      ? Promise.reject(new Error("down"))
      : Promise.resolve({ value: "t", expires: Number.POSITIVE_INFINITY }),
  );
  expect((await errorOf(cache.get(asking([pull])))).message).toBe("down");
  expect(await cache.get(asking([pull]))).toBe("t");
});

test("a newer refresh token is used from then on", async () => {
  const { cache, clock, asked } = cacheOf((request, count) =>
    Promise.resolve({
      value: `t${count}`,
      expires: clock.now() + 60_000,
      refresh: `${(request.credential as { token: string }).token}+`,
    }),
  );
  const credential = { kind: "refresh", token: "r" } as const;
  for (let i = 0; i < 3; i++) {
    await cache.get(asking([pull], { credential }));
    clock.advance(60_000);
  }
  expect(asked.map((request) => (request.credential as { token: string }).token)).toEqual([
    "r",
    "r+",
    "r++",
  ]);
});

/** A cache whose fetch ends when it is released or given up. */
const pending = () => {
  const started = Promise.withResolvers<TokenRequest>();
  const { cache, asked } = cacheOf((request) => {
    started.resolve(request);
    return new Promise((resolve, reject) => {
      request.signal.addEventListener("abort", () => reject(request.signal.reason));
      void release.promise.then(() => resolve({ value: "t", expires: 1e15 }));
    });
  });
  const release = Promise.withResolvers<void>();
  return { cache, asked, started: started.promise, release: release.resolve };
};

describe("who stops waiting", () => {
  test("leaves the others waiting", async () => {
    const { cache, started, release } = pending();
    const mine = new AbortController();
    const first = cache.get(asking([pull], { signal: mine.signal }));
    const second = cache.get(asking([pull]));
    await started;
    const reason = new Error("enough");
    mine.abort(reason);
    expect(await errorOf(first)).toBe(reason);
    release();
    expect(await second).toBe("t");
  });

  test("ends the fetch when nobody else waits", async () => {
    const { cache, asked, started } = pending();
    const mine = new AbortController();
    const first = cache.get(asking([pull], { signal: mine.signal }));
    const { signal } = await started;
    mine.abort(new Error("enough"));
    await errorOf(first);
    expect(signal.aborted).toBe(true);
    expect(asked).toHaveLength(1);
  });
});
