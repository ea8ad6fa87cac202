import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { chunkRange, downloadRange } from "../../src/harness/registry/routes/range.ts";
import { page } from "../../src/harness/registry/routes/page.ts";
import { Refusal } from "../../src/harness/registry/routes/refusal.ts";
import { parseRoute } from "../../src/harness/registry/routes/route.ts";
import { compareTags } from "../../src/harness/registry/storage/tag-links.ts";
import { digestFor, random, registry } from "../support/registry/embedded-client.ts";
import { fewerRuns, runs } from "../support/property-runs.ts";

/** Text made of the pieces that a path of the API has, and of what should not be in one. */
const paths = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "v2",
        "a",
        "blobs",
        "uploads",
        "manifests",
        "tags",
        "list",
        "referrers",
        "..",
      ),
      fc.constantFrom("%2e%2e", "%2f", "%00", `sha256:${"0".repeat(64)}`, "_catalog", "", "A"),
      fc.string({ unit: "binary", maxLength: 8 }),
    ),
    { maxLength: 8 },
  )
  .map((parts) => `/${parts.join("/")}`);

describe("whatever a client sends", () => {
  test("a path is a route, nothing, or refused; never a repository outside of its directory", () => {
    fc.assert(
      fc.property(paths, (path) => {
        try {
          const route = parseRoute(path);
          if (route !== undefined && "repository" in route) {
            expect(route.repository).toMatch(/^[a-z0-9][a-z0-9._/-]*$/);
            expect(route.repository.split("/")).not.toContain("..");
          }
        } catch (error) {
          expect(error).toBeInstanceOf(Refusal);
        }
      }),
      runs,
    );
  });

  test("a range lies within the blob", () => {
    const headers = fc.oneof(
      fc.string(),
      fc
        .tuple(fc.option(fc.nat(300)), fc.option(fc.nat(300)))
        .map(([a, b]) => `bytes=${a ?? ""}-${b ?? ""}`),
      fc.constantFrom("bytes=0-99999999999999999999", "bytes=99999999999999999999-", "bytes=-0"),
    );
    fc.assert(
      fc.property(headers, fc.nat(200), (header, size) => {
        const range = downloadRange(header, size);
        if (typeof range !== "object") return;
        expect(range.start).toBeGreaterThanOrEqual(0);
        expect(range.start).toBeLessThan(range.end);
        expect(range.end).toBeLessThanOrEqual(size);
      }),
      runs,
    );
  });

  test("a range is the bytes that it names of a blob that has them", () => {
    fc.assert(
      fc.property(
        fc.nat(200),
        fc.nat(200),
        fc.integer({ min: 1, max: 200 }),
        (start, more, rest) => {
          const end = start + more + 1;
          const size = start + more + rest;
          expect(downloadRange(`bytes=${start}-${end - 1}`, size)).toEqual({ start, end });
          expect(downloadRange(`bytes=${start}-`, size)).toEqual({ start, end: size });
          expect(downloadRange(`bytes=-${rest}`, size)).toEqual({ start: size - rest, end: size });
          expect(downloadRange(`bytes=${size}-`, size)).toBe("unsatisfiable");
        },
      ),
      runs,
    );
  });

  test("a chunk's range is what was written", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (start, more) => {
        expect(chunkRange(`${start}-${start + more}`)).toEqual({ start, end: start + more + 1 });
      }),
      runs,
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        const range = chunkRange(text);
        if (range !== undefined) expect(range.start).toBeLessThan(range.end);
      }),
      runs,
    );
  });

  test("pages put together are the whole list, in its order", () => {
    const tags = fc.uniqueArray(fc.stringMatching(/^\w[\w.-]{0,5}$/), { maxLength: 30 });
    fc.assert(
      fc.property(tags, fc.integer({ min: 1, max: 7 }), (unordered, n) => {
        const sorted = unordered.toSorted(compareTags);
        const seen: string[] = [];
        let last: string | undefined;
        for (let more = true; more;) {
          const { entries, headers } = page(sorted, { n, last }, "/x", (tag) => tag, compareTags);
          expect(entries.length).toBeLessThanOrEqual(n);
          seen.push(...entries);
          more = headers["Link"] !== undefined;
          last = entries.at(-1);
        }
        expect(seen).toEqual(sorted);
      }),
      runs,
    );
  });
});

describe("a registry", () => {
  test("has a blob as it was, in whatever pieces it came", async () => {
    const { send } = await registry();
    const pieces = fc.array(
      fc.record({ size: fc.nat(3000), ranged: fc.boolean(), wrong: fc.boolean() }),
      { maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(pieces, async (chunks) => {
        const opened = await send("POST", "/v2/a/blobs/uploads/");
        const location = opened.headers.get("Location") ?? "";
        const content = random(chunks.reduce((sum, { size }) => sum + size, 0));
        let offset = 0;
        for (const { size, ranged, wrong } of chunks) {
          const body = content.slice(offset, offset + size);
          const end = offset + Math.max(size, 1) - 1;
          if (wrong) {
            const range = { "Content-Range": `${offset + 1}-${end + 1}` };
            expect((await send("PATCH", location, body, range)).status).toBe(416);
          }
          const range = ranged && size > 0 ? { "Content-Range": `${offset}-${end}` } : undefined;
          expect((await send("PATCH", location, body, range)).status).toBe(202);
          offset += size;
        }
        const digest = digestFor(content);
        expect((await send("PUT", `${location}?digest=${digest}`)).status).toBe(201);
        const response = await send("GET", `/v2/a/blobs/${digest}`);
        expect(digestFor(new Uint8Array(await response.arrayBuffer()))).toBe(digest);
      }),
      fewerRuns(0.1),
    );
  });

  test("answers any manifest with 201 or a refusal", async () => {
    const { send } = await registry();
    await fc.assert(
      fc.asyncProperty(fc.json(), fc.string({ maxLength: 20 }), async (body, type) => {
        const headers = { "Content-Type": type.replaceAll(/[^ -~]/g, "") };
        const response = await send("PUT", "/v2/a/manifests/x", body, headers);
        expect([201, 400]).toContain(response.status);
      }),
      runs,
    );
  });
});
