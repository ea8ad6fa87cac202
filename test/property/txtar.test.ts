import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { expandWord, parseScript } from "../support/scripts/language.ts";
import { formatArchive, parseArchive } from "../support/scripts/txtar.ts";
import { runs } from "../support/property-runs.ts";

const line = fc.string({ unit: "grapheme" }).filter((text) => !/[\r\n]|^-- .* --$/.test(text));
const content = fc
  .array(line, { maxLength: 5 })
  .map((lines) => lines.map((text) => `${text}\n`).join(""));
const name = fc
  .string({ minLength: 1 })
  .filter((text) => !/[\r\n]/.test(text) && text === text.trim());
const archive = fc.record({
  comment: content,
  files: fc.array(fc.record({ name, content }), { maxLength: 5 }),
});

describe("a script archive", () => {
  test("reads back as what was written", () => {
    fc.assert(
      fc.property(archive, (written) => {
        expect(parseArchive(formatArchive(written))).toEqual(written);
      }),
      runs,
    );
  });

  test("any text is one", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const { comment, files } = parseArchive(text);
        const parts = [comment, ...files.map((file) => file.content)];
        expect(parts.every((part) => part === "" || part.endsWith("\n"))).toBe(true);
      }),
      runs,
    );
  });
});

describe("a script line", () => {
  const word = fc.string({ unit: "grapheme", minLength: 1 }).filter((text) => !/[\r\n]/.test(text));

  test("quoted words come out as they went in", () => {
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 5 }), (words) => {
        const script = words.map((text) => `'${text.replaceAll("'", "''")}'`).join(" ");
        const [parsed] = parseScript(script);
        expect(parsed?.words.map((parts) => expandWord(parts, { a: "b" }))).toEqual(words);
      }),
      runs,
    );
  });

  test("a value put in as a pattern matches that value alone", () => {
    fc.assert(
      fc.property(word, (value) => {
        const [parsed] = parseScript("stdout ${V@R}");
        const pattern = expandWord(parsed?.words[1] ?? [], { V: value });
        expect(new RegExp(`^${pattern}$`, "u").test(value)).toBe(true);
        expect(new RegExp(`^${pattern}$`, "u").test(`${value}x`)).toBe(false);
      }),
      runs,
    );
  });
});
