import { expect, test } from "bun:test";
import { join, posix, relative, sep } from "node:path";
import * as fc from "fast-check";
import { OcibundleError } from "../../src/errors.ts";
import { destParts, findClash } from "../../src/store/placement/safe-path.ts";
import { runs } from "../support/property-runs.ts";

/** Names that are dangerous somewhere, and any others. */
const name = fc.oneof(
  fc.constantFrom("..", ".", "", "...", ".cog", "con", "a:b", "a\\b", "\0", "~", "-", "a b", "A"),
  fc.string({ unit: "binary", maxLength: 8 }),
  fc.string({ maxLength: 8 }),
);
const dest = fc.oneof(
  fc.array(name, { maxLength: 6 }).map((parts) => `/${parts.join("/")}`),
  fc.string({ unit: "binary" }),
);

test("a dest is refused with the typed error, or its names stay below any directory", () => {
  fc.assert(
    fc.property(dest, fc.constantFrom("linux", "darwin", "win32"), (text, platform) => {
      let parts: string[];
      try {
        parts = destParts(text, platform);
      } catch (error) {
        expect(error).toBeInstanceOf(OcibundleError);
        expect((error as OcibundleError).code).toBe("file");
        return;
      }
      expect(`/${parts.join("/")}`).toBe(text);
      const path = join("/target/root", ...parts);
      expect(relative("/target/root", path)).toBe(parts.join(sep));
      expect(path.split(sep)).not.toContain("..");
      expect(parts.length).toBeGreaterThan(0);
    }),
    runs,
  );
});

test("dests clash exactly when two are equal or one is a directory of another", () => {
  const short = fc
    .array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 3 })
    .map((parts) => `/${parts.join("/")}`);
  fc.assert(
    fc.property(fc.array(short, { maxLength: 5 }), (dests) => {
      const expected = dests.some((one, i) =>
        dests.some((other, j) => i !== j && (one === other || other.startsWith(`${one}/`))),
      );
      const clash = findClash(dests);
      expect(clash !== undefined).toBe(expected);
      if (clash?.kind === "under") {
        expect(posix.dirname(clash.dest).startsWith(clash.other)).toBe(true);
      }
    }),
    runs,
  );
});
