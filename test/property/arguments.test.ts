import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { parseArguments } from "../../src/cli/arguments.ts";
import type { ArgDefinitions } from "../../src/cli/command.ts";
import { OcibundleError } from "../../src/errors.ts";
import { parseDuration } from "../../src/ui/duration.ts";
import { formatSize, parseSize } from "../../src/ui/size.ts";
import { displayWidth, escapeText, truncate } from "../../src/ui/text.ts";
import { runs } from "../support/property-runs.ts";

const description = "";
const definitions = {
  image: { type: "string", alias: "i", description },
  count: { type: "number", alias: "n", description },
  size: { type: "size", description },
  wait: { type: "duration", description },
  quiet: { type: "boolean", alias: "q", description },
  words: { type: "rest", description },
} as const satisfies ArgDefinitions;

const anyText = fc.string({ unit: "binary" });
const flagLike = fc.oneof(
  fc.constantFrom(
    "--image",
    "--image=",
    "-i",
    "-n",
    "--count=",
    "--no-quiet",
    "-qn",
    "--",
    "-",
    "--size",
    "--wait=1h",
    "__proto__",
    "--__proto__",
    "--no-",
  ),
  anyText.map((text) => `--${text}`),
  anyText.map((text) => `-${text}`),
  anyText,
);

/** The value, or undefined where it was refused as a usage error; anything else that is thrown is a failure. */
function orRefused<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof OcibundleError && error.code === "usage") return undefined;
    throw error;
  }
}

describe("any command line", () => {
  test("is taken or refused as a usage error", () => {
    fc.assert(
      fc.property(fc.array(flagLike, { maxLength: 6 }), (words) => {
        const values = orRefused(() => parseArguments(words, definitions, "t"));
        if (values !== undefined)
          expect(Object.keys(values).toSorted()).toEqual(Object.keys(definitions).toSorted());
      }),
      runs,
    );
  });

  test("after -- everything that is not empty is taken as it is", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: "binary", minLength: 1 }), { maxLength: 6 }),
        (words) => {
          expect(parseArguments(["-q", "--", ...words], definitions, "t")["words"]).toEqual(words);
        },
      ),
      runs,
    );
  });

  test("a value after = is taken as it is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), (value) => {
        expect(parseArguments([`--image=${value}`], definitions, "t")["image"]).toBe(value);
      }),
      runs,
    );
  });
});

describe("sizes and durations", () => {
  test("any text is a safe number or refused", () => {
    fc.assert(
      fc.property(
        fc.oneof(anyText, fc.stringMatching(/^\d{0,20}(\.\d{1,3})?[kmgtbs]{0,2}$/)),
        (text) => {
          for (const read of [parseSize, parseDuration]) {
            const value = orRefused(() => read(text));
            if (value !== undefined) expect(Number.isSafeInteger(value) && value >= 0).toBe(true);
          }
        },
      ),
      runs,
    );
  });

  test("a whole number of bytes reads as itself", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        expect(parseSize(String(bytes))).toBe(bytes);
      }),
      runs,
    );
  });

  test("a size for people is at most 8 characters and within 5 % of the truth", () => {
    const factors: Record<string, number> = {
      B: 1,
      KiB: 1024,
      MiB: 1024 ** 2,
      GiB: 1024 ** 3,
      TiB: 1024 ** 4,
      PiB: 1024 ** 5,
    };
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        const shown = formatSize(bytes);
        const [number, unit = ""] = shown.split(" ");
        expect(shown.length).toBeLessThanOrEqual(8);
        expect(Math.abs(Number(number) * (factors[unit] ?? 0) - bytes)).toBeLessThanOrEqual(
          bytes * 0.05,
        );
      }),
      runs,
    );
  });
});

describe("text from outside", () => {
  test("is one line without anything that a terminal obeys", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const shown = escapeText(text);
        expect(/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Bidi_Control}]/u.test(shown)).toBe(false);
        expect(escapeText(shown)).toBe(shown);
      }),
      runs,
    );
  });

  test("is cut to the columns there are", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.nat({ max: 40 }), (text, columns) => {
        const shown = truncate(escapeText(text), columns);
        expect(displayWidth(shown)).toBeLessThanOrEqual(columns);
      }),
      runs,
    );
  });
});
