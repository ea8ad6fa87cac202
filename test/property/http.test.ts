import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { OcibundleError } from "../../src/errors.ts";
import { parseChallenges } from "../../src/http/auth/challenge.ts";
import { checkRealm } from "../../src/http/auth/realm.ts";
import {
  coversScopes,
  formatScope,
  joinScopes,
  parseScopes,
  type Scope,
} from "../../src/http/auth/scope.ts";
import { proxyFor } from "../../src/http/proxy.ts";
import { parseResponseHead } from "../../src/http/response-head.ts";
import { parseRetryAfter } from "../../src/http/retry-after.ts";
import { pauseBefore, maxAttempts, maxPause, maxRetryAfter } from "../../src/http/retry-policy.ts";
import { runs } from "./runs.ts";

const anyText = fc.string({ unit: "binary" });
const headerLike = fc
  .array(
    fc.constantFrom("Bearer", "basic", " ", ",", "=", '"', "\\", "realm", "scope", "a", ";", "\t"),
  )
  .map((parts) => parts.join(""));
const token = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}$/);
const quotable = fc.string({ unit: "grapheme-ascii" });

const quote = (text: string): string => `"${text.replaceAll(/(["\\])/g, "\\$1")}"`;

describe("challenges", () => {
  test("any header is read without an error, and in no more parts than it has", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, headerLike), (header) => {
        const challenges = parseChallenges(header);
        expect(challenges.length).toBeLessThanOrEqual(header.length);
        for (const { scheme } of challenges) expect(scheme).toBe(scheme.toLowerCase());
      }),
      runs,
    );
  });

  test("what is written as the standard says is read back, several in one line included", () => {
    const challenge = fc.record({
      scheme: token,
      parameters: fc.uniqueArray(fc.tuple(token, quotable), {
        selector: ([name]) => name.toLowerCase(),
        maxLength: 4,
      }),
    });
    fc.assert(
      fc.property(fc.array(challenge, { minLength: 1, maxLength: 4 }), (list) => {
        const header = list
          .map(({ scheme, parameters }) =>
            `${scheme} ${parameters.map(([name, value]) => `${name}=${quote(value)}`).join(", ")}`.trimEnd(),
          )
          .join(", ");
        const read = parseChallenges(header);
        expect(read.map(({ scheme }) => scheme)).toEqual(
          list.map(({ scheme }) => scheme.toLowerCase()),
        );
        expect(read.map(({ parameters }) => [...parameters])).toEqual(
          list.map(({ parameters }) =>
            parameters.map(([name, value]): [string, string] => [name.toLowerCase(), value]),
          ),
        );
      }),
      runs,
    );
  });

  test("a realm is https, or refused with a typed error", () => {
    const registry = { host: "r.example", url: new URL("https://r.example/v2/"), plainHttp: false };
    fc.assert(
      fc.property(
        fc.oneof(anyText, fc.webUrl(), fc.constantFrom("http://127.0.0.1/t")),
        (realm) => {
          try {
            expect(checkRealm(realm, registry).protocol).toBe("https:");
          } catch (error) {
            expect(error).toBeInstanceOf(OcibundleError);
          }
        },
      ),
      runs,
    );
  });
});

describe("scopes", () => {
  const scope: fc.Arbitrary<Scope> = fc.record({
    type: fc.stringMatching(/^[a-z]{1,8}(\([a-z]{1,4}\))?$/),
    name: fc.stringMatching(/^[a-z0-9./:_-]{1,16}$/),
    actions: fc.array(fc.constantFrom("pull", "push", "delete", "*"), {
      minLength: 1,
      maxLength: 4,
    }),
  });

  const scopeLike = fc
    .array(fc.constantFrom("repository", "(plugin)", ":", ",", " ", "a/b", "h:5000/a", "pull", "*"))
    .map((parts) => parts.join(""));

  test("any text is read without an error", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, scopeLike), (text) => {
        for (const { type, name, actions } of parseScopes(text)) {
          expect(type).not.toBe("");
          expect(name).not.toBe("");
          expect(actions.length).toBeGreaterThan(0);
          expect(actions).not.toContain("");
        }
      }),
      runs,
    );
  });

  test("what is formatted is read back", () => {
    fc.assert(
      fc.property(fc.array(scope), (scopes) => {
        expect(parseScopes(scopes.map(formatScope).join(" "))).toEqual(scopes);
      }),
      runs,
    );
  });

  test("joined scopes cover what they were made from, in an order that does not depend on it", () => {
    fc.assert(
      fc.property(fc.array(scope), (scopes) => {
        const joined = joinScopes(scopes);
        expect(coversScopes(joined, scopes)).toBe(true);
        expect(joinScopes([...scopes].toReversed())).toEqual(joined);
        expect(joinScopes(joined)).toEqual(joined);
      }),
      runs,
    );
  });
});

describe("waiting", () => {
  const now = Date.UTC(2026, 1, 2);

  const timeLike = fc
    .array(
      fc.constantFrom(
        "Mon, ",
        "02 Feb",
        " 2026 ",
        "10:00:00",
        "GMT",
        "99",
        "-1",
        "1e3",
        " ",
        "99999999999999999999",
      ),
    )
    .map((parts) => parts.join(""));
  const dates = fc.date({ noInvalidDate: true });

  test("any Retry-After is a time not in the past, or none", () => {
    const written = fc.oneof(
      dates.map(String),
      dates.map((date) => date.toUTCString()),
    );
    fc.assert(
      fc.property(fc.oneof(anyText, timeLike, written), (header) => {
        const wait = parseRetryAfter(header, now);
        if (wait === undefined) return;
        expect(wait).toBeGreaterThanOrEqual(0);
        expect(Number.isSafeInteger(wait)).toBe(true);
        // A number below nothing, one with an exponent, or a date that is no HTTP date is none.
        expect(header.trim()).toMatch(/^(?:\d+|[A-Z][a-z]+, .*GMT)$/);
      }),
      runs,
    );
  });

  test("seconds and dates mean the same time", () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), (seconds) => {
        expect(parseRetryAfter(String(seconds), now)).toBe(seconds * 1000);
        const date = new Date(now + seconds * 1000).toUTCString();
        expect(parseRetryAfter(date, now)).toBe(seconds * 1000);
      }),
      runs,
    );
  });

  test("a pause is bounded and never shorter than what the server asked for", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 100, max: 599 }),
        fc.option(fc.nat(10 * 60_000), { nil: undefined }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, status, retryAfter, random) => {
          const pause = pauseBefore(attempt, { status, retryAfter }, random);
          if (pause === undefined) return;
          expect(attempt).toBeLessThan(maxAttempts);
          expect(pause).toBeGreaterThanOrEqual(retryAfter ?? 0);
          expect(pause).toBeLessThanOrEqual(Math.max(maxPause, maxRetryAfter));
        },
      ),
      runs,
    );
  });
});

describe("heads of answers", () => {
  const line = fc.constantFrom(
    "HTTP/1.1 200 OK",
    "HTTP/1.1 206 ",
    "Content-Length: 12",
    "content-length:0",
    "Transfer-Encoding: chunked",
    "Connection: close",
    " folded",
    "",
  );
  const headLike = fc
    .array(fc.oneof({ weight: 3, arbitrary: line }, anyText), { maxLength: 6 })
    .map((lines) => lines.join("\r\n"));

  test("any text is a head with one certain end of its body, or none, without an error", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, headLike), (text) => {
        const head = parseResponseHead(text);
        if (head === undefined) return;
        expect(head.status).toBeWithin(100, 600);
        const { framing } = head;
        if (typeof framing === "number") expect(Number.isSafeInteger(framing)).toBe(true);
        const frames = text
          .split("\r\n")
          .filter((each) => /^(content-length|transfer-enc)/i.test(each));
        const free = head.status < 200 || head.status === 204 || head.status === 304;
        if (!free) expect(frames).toHaveLength(framing === "close" ? 0 : 1);
      }),
      runs,
    );
  });

  test("what a server writes as the standard says is read back", () => {
    const value = fc.stringMatching(/^[!-~](?:[ -~]{0,20}[!-~])?$/);
    const fields = fc.dictionary(
      token.map((name) => `x-${name.toLowerCase()}`),
      value,
      {
        maxKeys: 5,
      },
    );
    const length = fc.nat({ max: 10 ** 15 - 1 });
    fc.assert(
      fc.property(fc.integer({ min: 200, max: 599 }), fields, length, (status, sent, size) => {
        fc.pre(status !== 204 && status !== 304);
        const lines = Object.entries({ ...sent, "Content-Length": String(size) });
        const head = parseResponseHead(
          [`HTTP/1.1 ${status} Reason`, ...lines.map(([name, text]) => `${name}: ${text}`)].join(
            "\r\n",
          ),
        );
        expect(head).toMatchObject({ status, framing: size, keepsAlive: true });
        for (const [name, text] of Object.entries(sent)) expect(head?.headers.get(name)).toBe(text);
      }),
      runs,
    );
  });
});

test("any proxy environment is read, or a typed error", () => {
  const value = fc.oneof(anyText, fc.constantFrom("*", ".example.com", "[::1]:80", "a:1,b"));
  fc.assert(
    fc.property(value, value, (proxy, none) => {
      const env = { HTTPS_PROXY: proxy, no_proxy: none };
      try {
        const found = proxyFor(new URL("https://registry.example.com/v2/"), env);
        if (found !== undefined) expect(new URL(found).protocol).toMatch(/^https?:$/);
      } catch (error) {
        expect(error).toMatchObject({ name: "OcibundleError", code: "usage" });
      }
    }),
    runs,
  );
});
