import { expect, test } from "bun:test";
import * as v from "valibot";
import { checkDocument } from "../../../src/oci/document.ts";
import { GoTextMapSchema, goObject } from "../../../src/oci/go-object.ts";
import { openObject, recordOf } from "../../../src/oci/open-schemas.ts";

const names = ["constructor", "prototype", "__proto__", "toString", "plain"];
const document = (value: unknown): unknown =>
  JSON.parse(`{${names.map((name) => `"${name}": ${JSON.stringify(value)}`).join(", ")}}`);

test.each([
  ["a record", recordOf(v.string(), v.string())],
  ["text by key", GoTextMapSchema],
  ["an object with other members", openObject({ member: v.optional(v.string()) })],
  ["an object as Go reads it", goObject({ member: v.optional(v.string()) })],
])("%s keeps a member of any name", (_, schema) => {
  expect(JSON.stringify(v.parse(schema, document("value")))).toBe(
    JSON.stringify(document("value")),
  );
});

test.each(names)("a record refuses a wrong value of the member %p, with its path", (name) => {
  const schema = v.object({ list: v.array(recordOf(v.string(), v.string("must be a string"))) });
  const wrong = JSON.parse(`{"list": [{"right": "1"}, {"${name}": 1}]}`) as unknown;
  expect(() => checkDocument(wrong, schema, "a file")).toThrow(
    `a file: list.1.${name}: must be a string`,
  );
});

test("a record refuses a wrong key", () => {
  const schema = recordOf(v.pipe(v.string(), v.regex(/^a/, "must begin with a")), v.unknown());
  expect(() => checkDocument({ ab: 1, b: 1 }, schema, "a file")).toThrow(
    "a file: b: must begin with a",
  );
});

test.each([[[]], [null], ["text"], [1]])("%p is neither", (input) => {
  for (const schema of [recordOf(v.string(), v.unknown()), openObject({})]) {
    expect(() => checkDocument(input, schema, "a file")).toThrow("a file: must be an object");
  }
});

test("an object tells what is wrong with its own members, and which are missing", () => {
  const schema = v.array(openObject({ one: v.string("must be a string") }));
  expect(() => checkDocument([{ one: 1 }], schema, "a file")).toThrow(
    "a file: 0.one: must be a string",
  );
  expect(() => checkDocument([{ two: 1 }], schema, "a file")).toThrow("a file: 0.one: is missing");
});
