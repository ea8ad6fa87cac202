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
} from "../../src/http/message/scope.ts";
import { type LargeRequest, largeAnswers } from "../../src/http/large/answer.ts";
import { proxyFor } from "../../src/http/proxy.ts";
import { parseResponseHead } from "../../src/http/large/head.ts";
import { parseRetryAfter } from "../../src/http/message/retry-after.ts";
import { maxRetryAfter, requestRetries, waitBeforeRetry } from "../../src/retry/backoff.ts";
import { requestPolicy } from "../../src/retry/transient.ts";
import { fewerRuns, runs } from "../support/property-runs.ts";

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
          const policy = requestPolicy({ status, retryAfter });
          if (policy === undefined) return;
          const pause = waitBeforeRetry(attempt, random, policy, retryAfter);
          if (pause === undefined) return;
          expect(attempt).toBeLessThan(requestRetries.tries);
          expect(pause).toBeGreaterThanOrEqual(retryAfter ?? 0);
          expect(pause).toBeLessThanOrEqual(Math.max(requestRetries.longestWait, maxRetryAfter));
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

/** A body of 13 bytes, and of 3 in one chunk. */
const body = "3\r\nabc\r\n0\r\n\r\n";
const answers = [
  `HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n${body}`,
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`,
  `HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 206 Partial Content\r\nContent-Length: 13\r\n\r\n${body}`,
  `HTTP/1.1 200 OK\r\nA: b\r\n\r\n${body}`,
  "HTTP/1.1 204 No Content\r\n\r\n",
];
const oddLines = [
  "Content-Length: 4",
  "Content-Length: 13",
  "Content-Length: +3",
  "Content-Length: 4, 13",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding : chunked",
  "Transfer-Encoding: gzip, chunked",
  "Transfer-Encoding: identity",
  " folded",
  "Connection: close",
  "Content-Encoding: gzip",
];
const oddParts = [
  "",
  "\r",
  "\n",
  "\r\n",
  ":",
  " ",
  "\t",
  "\0",
  "é",
  "0",
  "1",
  "4",
  ",",
  ";",
  "-",
  "+",
];

/** One line more, or another part, expected up to two characters. */
const change = fc.oneof(
  fc.record({ line: fc.constantFrom(...oddLines), at: fc.nat(3) }),
  fc.record({ part: fc.constantFrom(...oddParts), at: fc.nat(120), length: fc.nat(2) }),
);

type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function changed(text: string, made: Change): string {
  if ("line" in made) return text.split("\r\n").toSpliced(made.at, 0, made.line).join("\r\n");
  const at = made.at % (text.length + 1);
  return text.slice(0, at) + made.part + text.slice(at + made.length);
}

test("an answer is read as fetch reads it, left to fetch, or an error for one of them", async () => {
  let bytes = "";
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket) => void socket.end(Buffer.from(bytes, "latin1")) },
  });
  const url = new URL(`http://127.0.0.1:${server.port}/`);
  const { signal } = new AbortController();
  const changes = fc.array(change, { minLength: 1, maxLength: 2 });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...answers), changes, async (answer, made) => {
      bytes = made.reduce(changed, answer);
      const read = await readLarge({ url, headers: {}, tls: undefined, signal }).catch(
        () => undefined,
      );
      const response = await fetch(url, { redirect: "manual" }).catch(() => undefined);
      const text = await response?.bytes().catch(() => undefined);
      if (read === undefined || response === undefined || text === undefined) return;
      expect(read).toEqual({ status: response.status, text: Buffer.from(text).toString("latin1") });
    }),
    fewerRuns(0.25),
  );
  server.stop(true);
});

/** On a connection of its own; undefined for what is left to fetch. */
async function readLarge(request: LargeRequest) {
  const answer = await largeAnswers()(request);
  if (answer === undefined) return undefined;
  let text = "";
  for (;;) {
    const { done, value } = await answer.body.read();
    if (done) return { status: answer.status, text };
    text += Buffer.from(value ?? []).toString("latin1");
  }
}

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
