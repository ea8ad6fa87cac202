import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { compareFiles, type ListedFile } from "../../src/model/graph/compare-files.ts";
import { compareVersions, type StoredVersion } from "../../src/model/graph/compare-versions.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { html } from "../../src/ui/html/escape.ts";
import { layOut } from "../../src/ui/html/treemap-layout.ts";
import { fewerRuns, runs } from "../support/property-runs.ts";

describe("treemap", () => {
  const areas = fc
    .array(fc.integer({ min: 1, max: 1e12 }), { minLength: 1, maxLength: 80 })
    .map((all) => all.toSorted((a, b) => b - a));

  test("rectangles have the areas asked for, lie in the frame and do not overlap", () => {
    fc.assert(
      fc.property(areas, fc.double({ min: 0.2, max: 5, noNaN: true }), (sizes, aspect) => {
        const laid = layOut(sizes, aspect);
        const total = sizes.reduce((sum, size) => sum + size, 0);
        expect(laid).toHaveLength(sizes.length);
        for (const [at, { left, top, width, height }] of laid.entries()) {
          expect((width * height) / 1e4).toBeCloseTo((sizes[at] ?? 0) / total, 6);
          expect(Math.min(left, top, width, height)).toBeGreaterThanOrEqual(0);
          expect(Math.max(left + width, top + height)).toBeLessThan(100 + 1e-6);
        }
        // Inside the frame, and together as large as the frame: so none lies on another.
        const sum = laid.reduce((all, { width, height }) => all + width * height, 0);
        expect(sum).toBeCloseTo(1e4, 4);
      }),
      fewerRuns(0.2),
    );
  });
});

describe("html", () => {
  const special = ["<", ">", "&", '"', "'", "`", "\n", "\u0000", "\u202e", "\u2066", "\ud800"];
  const texts = fc
    .array(fc.constantFrom(...special, "a", "é", "😀", "&lt;", "</p>"), { maxLength: 12 })
    .map((parts) => parts.join(""));

  test("text from outside never becomes markup and is given back whole", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const { text: written } = html`<p title="${text}">${text}</p>`;
        expect(written).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
        const inside = written.slice('<p title="'.length, -"</p>".length);
        expect(inside.replace('">', "")).not.toMatch(/[<>"']/);
        expect(inside.replaceAll(/&(?:amp|lt|gt|quot|#39);/g, "")).not.toContain("&");
      }),
      runs,
    );
  });
});

const sizesOf = (version: StoredVersion | undefined) =>
  [...(version?.blobs ?? [])].map(([digest, blob]) => [digest, blob.size] as const);

describe("versions", () => {
  const versions = fc.array(
    fc.uniqueArray(fc.nat(12), { maxLength: 10 }).map((names): StoredVersion => {
      const blobs = names.map((at) => [digestOf(`blob ${at}`), at] as const);
      // The larger ones are the parts of one file.
      const [whole, parts] = [blobs.filter(([, at]) => at < 7), blobs.filter(([, at]) => at >= 7)];
      const file = digestOf(names.filter((at) => at >= 7).join(" "));
      return {
        blobs: new Map(
          blobs.map(([digest, size]) => [digest, { size, kind: "weights", names: [] }]),
        ),
        fetched: new Map(parts.length === 0 ? whole : [...whole, [file, 1000]]),
        parts: new Map(parts.length === 0 ? [] : [[file, new Map(parts)]]),
      };
    }),
    { maxLength: 6 },
  );

  test("own bytes and what is shared add up, and what is fetched completes what is there", () => {
    fc.assert(
      fc.property(versions, (all) => {
        const { size, sizes, blobs, fetch } = compareVersions(all);
        const union = new Map(all.flatMap(sizesOf));
        expect(size).toBe([...union.values()].reduce((sum, bytes) => sum + bytes, 0));
        expect(blobs).toHaveLength(union.size);
        for (const [at, { own, size: whole }] of sizes.entries()) {
          expect(own).toBeLessThanOrEqual(whole);
          const others = all.filter((_version, other) => other !== at);
          const elsewhere = new Set(others.flatMap((version) => [...version.blobs.keys()]));
          const alone = sizesOf(all[at]).filter(([digest]) => !elsewhere.has(digest));
          expect(own).toBe(alone.reduce((sum, [, bytes]) => sum + bytes, 0));
          expect(fetch[at]?.[at]).toBe(0);
        }
        for (const [a, row] of fetch.entries()) {
          for (const [b, bytes] of row.entries()) {
            const both = new Map([...sizesOf(all[a]), ...sizesOf(all[b])]);
            const together = [...both.values()].reduce((sum, one) => sum + one, 0);
            expect((sizes[a]?.size ?? 0) + bytes).toBe(together);
          }
        }
      }),
      fewerRuns(0.2),
    );
  });
});

describe("files", () => {
  const files = fc.uniqueArray(
    fc.record({ name: fc.constantFrom("a", "b", "__proto__"), at: fc.nat(2) }),
    { selector: ({ name }) => name, maxLength: 3 },
  );
  const versions = fc.array(
    files.map((all) =>
      all.map(({ name, at }): ListedFile => ({
        name,
        digest: digestOf(`file ${at}`),
        size: at,
        parts: null,
      })),
    ),
    { maxLength: 5 },
  );

  test("the files of each version can be read back from the files by name", () => {
    fc.assert(
      fc.property(versions, (all) => {
        const compared = compareFiles(all);
        const names = compared.map(({ name }) => name);
        expect(new Set(names).size).toBe(names.length);
        for (const [at, listed] of all.entries()) {
          const back = compared.flatMap(({ name, contents }) =>
            contents
              .filter(({ versions: of }) => of.includes(at))
              .map(({ digest, size, parts }) => ({ name, digest, size, parts })),
          );
          expect(back).toHaveLength(listed.length);
          expect(back).toEqual(expect.arrayContaining(listed));
        }
      }),
      runs,
    );
  });
});
