import { expect, test } from "bun:test";
import * as v from "valibot";
import { parseDocument, parseGoJson } from "../../../src/oci/document.ts";
import { beyondBounds } from "../../../src/oci/json-bounds.ts";
import { failureText } from "../../support/failure.ts";

const times = (value: string, count: number): string => Array(count).fill(value).join(",");
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const parse = async (text: string): Promise<unknown> =>
  parseDocument(bytesOf(text), v.unknown(), "the document");

test.each([
  ["empty objects", `[${times("{}", 1_000_000)}]`, "has more than 1000000 lists"],
  ["numbers", `[${times("0", 4_000_002)}]`, "has more than 4000000 commas"],
  ["members", `[${times('{"a":0,"b":0,"c":0}', 700_000)}]`, "has more than 2000000 members"],
  ["lists in lists", "[".repeat(2_000_000), "nested deeper than 100 levels"],
])("a document of too many %s is not parsed", async (_, text, says) => {
  expect(await failureText(parse(text))).toBe(`file: the document: ${says}`);
});

test("a long document of texts that look like values is parsed", () => {
  const text = JSON.stringify(`[{,:"\\`.repeat(1_000_000));
  expect(parseGoJson(bytesOf(text)) === JSON.parse(text)).toBe(true);
});

test("levels, lists, members and commas are counted, those in texts are not", () => {
  const bytes = bytesOf('{"a:[\\"{,":[1,2,{"b":"\\\\"}],"ä[":[]}');
  const most = { levels: 3, lists: 4, members: 3, commas: 3 };
  expect(beyondBounds(bytes, most)).toBeUndefined();
  for (const key of ["levels", "lists", "members", "commas"] as const) {
    expect(beyondBounds(bytes, { ...most, [key]: most[key] - 1 })).toBe(key);
  }
});
