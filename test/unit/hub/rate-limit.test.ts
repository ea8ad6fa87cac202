import { expect, test } from "bun:test";
import { honorRateLimit } from "../../../src/hub/rate-limit.ts";
import type { HttpRequest } from "../../../src/http/message/message.ts";

const request = { url: new URL("http://hub.test") } as HttpRequest;

async function retryAfter(status: number, headers: Record<string, string>): Promise<string | null> {
  const url = new URL("http://hub.test");
  const send = honorRateLimit(() =>
    Promise.resolve({ status, headers: new Headers(headers), url, body: undefined }),
  );
  return (await send(request)).headers.get("retry-after");
}

test.each([
  ['"resolvers";r=0;t=55', "55"],
  ['"api";r=3;t=10, "resolvers";r=0;t=7', "7"],
  ['"api";t=9', "9"],
  ['"api";r=5;t=9', null],
  ["nonsense", null],
])("a 429 with the limit %s", async (limit, seconds) => {
  expect(await retryAfter(429, { ratelimit: limit })).toBe(seconds);
});

test("what the server says itself, and what is no 429, stays", async () => {
  expect(await retryAfter(429, { ratelimit: '"api";r=0;t=9', "retry-after": "3" })).toBe("3");
  expect(await retryAfter(200, { ratelimit: '"api";r=0;t=9' })).toBeNull();
});
