import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { OcibundleError } from "../../src/errors.ts";
import {
  formatRange,
  parseContentRange,
  parseUploadRange,
} from "../../src/registry/content-range.ts";
import { parseNextLink } from "../../src/registry/link.ts";
import { resolveLocation, withDigest } from "../../src/registry/location.ts";
import { parseErrors } from "../../src/registry/refusal.ts";
import { runs } from "../support/property-runs.ts";

const anyText = fc.string({ unit: "binary" });
const offset = fc.nat(2 ** 40);

describe("Content-Range and Range", () => {
  const rangeLike = fc
    .array(fc.constantFrom("bytes", " ", "=", "-", "/", "*", "0", "9", "99999999999999999999"))
    .map((parts) => parts.join(""));
  const numbers = fc.oneof(fc.nat(9), fc.constantFrom("9007199254740993", "9999999999999999", "*"));
  const nearly = fc
    .tuple(numbers, numbers, numbers)
    .map(([first, last, whole]) => `bytes ${first}-${last}/${whole}`);

  test("any header is a range within its whole, or none", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, rangeLike, nearly), offset, (header, known) => {
        const read = parseContentRange(header);
        if (read !== undefined) {
          expect(read.range.start).toBeLessThan(read.range.end);
          expect(Number.isSafeInteger(read.range.end)).toBe(true);
          expect(read.range.end).toBeLessThanOrEqual(read.total ?? Number.MAX_SAFE_INTEGER);
        }
        const has = parseUploadRange(header, known);
        expect(has === undefined || (Number.isSafeInteger(has) && has >= 0)).toBe(true);
      }),
      runs,
    );
  });

  test("the range asked for is the range that a server's answer is read as", () => {
    fc.assert(
      fc.property(offset, fc.integer({ min: 1, max: 2 ** 40 }), offset, (start, size, more) => {
        const range = { start, end: start + size };
        const asked = formatRange(range).replace("bytes=", "");
        const total = range.end + more;
        expect(parseContentRange(`bytes ${asked}/${total}`)).toEqual({ range, total });
        expect(parseContentRange(`bytes ${asked}/*`)).toEqual({ range, total: undefined });
      }),
      runs,
    );
  });

  test("an upload's range is how much is there, none and one told apart by what is known", () => {
    fc.assert(
      fc.property(fc.nat(2 ** 40), (size) => {
        const header = `0-${Math.max(0, size - 1)}`;
        expect(parseUploadRange(header, size)).toBe(size);
      }),
      runs,
    );
  });
});

describe("Link", () => {
  const linkLike = fc
    .array(
      fc.constantFrom("<", ">", ";", ",", '"', "rel", "=", "next", " ", "/v2/", "?n=1&last=a,b"),
    )
    .map((parts) => parts.join(""));

  test("any header gives a target out of it, none, or where it speaks of a next page an error", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, linkLike), (header) => {
        try {
          const next = parseNextLink(header);
          expect(next === undefined || header.includes(next)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
          expect(header).toMatch(/next/i);
        }
      }),
      runs,
    );
  });

  test("the next page is found among other links, whatever its target holds", () => {
    const target = fc.stringMatching(/^[a-zA-Z0-9/?&=,;:%._-]{1,20}$/);
    fc.assert(
      fc.property(
        target,
        fc.array(target, { maxLength: 3 }),
        fc.constantFrom(`rel="next"`, "rel=next", "rel='next'", `REL = "prev NEXT"`),
        (next, others, rel) => {
          const links = [
            ...others.map((other) => `<${other}>; rel="prev"; title="a, <b>"`),
            `<${next}>; title="x"; ${rel}`,
          ];
          expect(parseNextLink(links.join(", "))).toBe(next);
        },
      ),
      runs,
    );
  });
});

describe("Location", () => {
  const base = new URL("https://registry.example.com/v2/a/blobs/uploads/");

  test("any header is an http URL never less safe than the last, or a typed error", () => {
    const locationLike = fc.oneof(
      anyText,
      fc.webUrl(),
      fc.webPath(),
      fc
        .array(
          fc.constantFrom(
            "http:",
            "https:",
            "ftp:",
            "//",
            "user:secret@",
            "registry.example.com",
            "#a",
          ),
        )
        .map((parts) => parts.join("")),
      fc.constantFrom("//[::1]:x", "http://registry.example.com/a", "http://[::1]/a"),
    );
    fc.assert(
      fc.property(locationLike, (location) => {
        try {
          const url = resolveLocation(location, base, "registry.example.com/a");
          expect(url.protocol).toBe("https:");
          expect(url.username + url.password + url.hash).toBe("");
        } catch (error) {
          expect(error).toBeInstanceOf(OcibundleError);
        }
      }),
      runs,
    );
  });

  test("its path and its query stay as they are, relative or absolute", () => {
    const queries = fc.stringMatching(/^[a-zA-Z0-9=&%_.~+-]{1,30}$/);
    const ways = fc.constantFrom("", "https://registry.example.com", "http://registry.example.com");
    fc.assert(
      fc.property(ways, fc.uuid(), queries, (origin, id, query) => {
        const path = `/v2/a/blobs/uploads/${id}?${query}`;
        const url = resolveLocation(`${origin}${path}`, base, "registry.example.com/a");
        expect(url.href).toBe(`https://registry.example.com${path}`);
      }),
      runs,
    );
  });

  test("a digest is added behind a query that stays as it is", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-zA-Z0-9=&%_.~+-]{0,30}$/), (query) => {
        const at = new URL(`/v2/a/blobs/uploads/1${query === "" ? "" : `?${query}`}`, base);
        const url = withDigest(at, "sha256:ab");
        expect(url.search).toBe(`${at.search === "" ? "?" : `${at.search}&`}digest=sha256%3Aab`);
        expect(url.pathname).toBe(at.pathname);
      }),
      runs,
    );
  });
});

describe("errors of a registry", () => {
  test("any body is read without an error", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => new TextEncoder().encode(text)),
        ),
        (body) => {
          expect(parseErrors(body).length).toBeLessThanOrEqual(3);
        },
      ),
      runs,
    );
  });

  test("what is shown of them has no line breaks, no queries of URLs, and an end", () => {
    fc.assert(
      fc.property(anyText, fc.stringMatching(/^[a-z0-9]{12}$/), (text, secret) => {
        const message = `${text}\n https://s3.example.com/x?X-Amz-Signature=${secret} ${text}`;
        const body = JSON.stringify({ errors: [{ code: "UNKNOWN", message }] });
        const [error] = parseErrors(new TextEncoder().encode(body));
        expect(error?.message ?? "").not.toMatch(/\p{Cc}/u);
        expect(error?.message ?? "").not.toContain(secret);
        expect((error?.message ?? "").length).toBeLessThanOrEqual(201);
      }),
      runs,
    );
  });
});
