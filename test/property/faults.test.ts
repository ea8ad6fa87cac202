import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { OcibundleError } from "../../src/errors.ts";
import { faultMatcher } from "../../src/harness/misbehave/faults/matcher.ts";
import { parseFault } from "../../src/harness/misbehave/faults/parse.ts";
import { runs } from "../support/property-runs.ts";

const count = fc.integer({ min: 1, max: 1e6 });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const filters = fc.record({
  method: optional(
    fc.uniqueArray(fc.constantFrom("GET", "PUT", "POST", "PATCH"), { minLength: 1 }),
  ),
  range: optional(fc.constantFrom("yes", "no")),
  after: optional(fc.nat(99)),
  nth: optional(count),
  every: optional(count),
  times: optional(count),
  p: optional(fc.constantFrom("0", "0.25", "1", "1.0")),
  seed: optional(fc.nat()),
});
const heads = fc.oneof(
  fc.integer({ min: 200, max: 599 }).map((status) => `status:${status}`),
  count.map((rate) => `slow:${rate}`),
  fc.constantFrom("reset", "stall", "truncate", "corrupt", "drop"),
);

describe("a fault's text", () => {
  test("is read as it was meant, whatever the order", () => {
    fc.assert(
      fc.property(heads, filters, fc.boolean(), (head, said, backwards) => {
        const parts = Object.entries(said)
          .filter(([, value]) => value !== undefined)
          .map(([key, value]) => `${key}=${Array.isArray(value) ? value.join("|") : value}`);
        const { what, filter } = parseFault(
          [head, ...(backwards ? parts.toReversed() : parts)].join(","),
        );
        expect(what.kind).toBe(head.split(":")[0] as typeof what.kind);
        expect(filter).toEqual({
          methods: said.method,
          path: undefined,
          ranged: said.range === undefined ? undefined : said.range === "yes",
          after: said.after ?? 0,
          nth: said.nth,
          every: said.every,
          times: said.times,
          probability: said.p === undefined ? undefined : Number(said.p),
          seed: said.seed ?? 1,
        });
      }),
      runs,
    );
  });

  test("that is none ends in an error of usage, and in nothing else", () => {
    const words = fc.array(
      fc.oneof(
        fc.constantFrom(
          "status",
          "reset",
          "slow",
          ":",
          ",",
          "=",
          "at",
          "path",
          "~",
          "(",
          "*",
          "p",
          "503",
        ),
        fc.string({ maxLength: 6 }),
      ),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(words, (parts) => {
        try {
          parseFault(parts.join(""));
        } catch (error) {
          expect(error).toBeInstanceOf(OcibundleError);
          expect((error as OcibundleError).code).toBe("usage");
        }
      }),
      runs,
    );
  });

  test("names paths of which every character but the star means itself", () => {
    const piece = fc.stringMatching(/^[a-z0-9.+()[\]^$\\?{}/-]{0,8}$/);
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 4 }), piece, (pieces, filling) => {
        const { path } = parseFault(`drop,path=/${pieces.join("*")}`).filter;
        expect(path?.test(`/${pieces.join(filling)}`)).toBe(true);
        expect(path?.test(`/${pieces.join(filling)}#`)).toBe(
          pieces.at(-1) === "" && pieces.length > 1,
        );
      }),
      runs,
    );
  });
});

describe("a fault's filter", () => {
  const request = new Request("http://registry.test/v2/");

  test("lets a fault happen no more often than it says, and at the requests it says", () => {
    const small = fc.integer({ min: 1, max: 9 });
    fc.assert(
      fc.property(fc.nat(9), small, small, (after, every, times) => {
        const spec = `drop,after=${after},every=${every},times=${times}`;
        const matches = faultMatcher(parseFault(spec).filter);
        const hit = Array.from({ length: 60 }, (_, index) => index + 1).filter(() =>
          matches(request, false),
        );
        const wanted = Array.from({ length: times }, (_, index) => after + every * (index + 1));
        expect(hit).toEqual(wanted.filter((at) => at <= 60));
      }),
      runs,
    );
  });
});
