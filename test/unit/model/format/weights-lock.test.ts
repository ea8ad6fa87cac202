import { describe, expect, test } from "bun:test";
import { OcibundleError } from "../../../../src/errors.ts";
import {
  parseWeightsLock,
  serializeWeightsLock,
} from "../../../../src/model/format/weights-lock.ts";
import {
  bytesOf,
  digest,
  entry,
  fixture,
  lockOf,
  textOf,
} from "../../../support/model/fixtures.ts";

const parse = (value: unknown) => parseWeightsLock(bytesOf(value), "weights.lock");

const dest = (path: unknown) => entry("a", { dest: path });

function refusal(value: unknown): string {
  try {
    parse(value);
  } catch (error) {
    if (!(error instanceof OcibundleError)) throw error;
    expect(error.code).toBe("file");
    return error.message;
  }
  throw new Error("it was not refused");
}

describe("reading", () => {
  test("the lock of the format", () => {
    const lock = parseWeightsLock(fixture("weights.lock"), "weights.lock");
    expect(lock.created).toBe("2026-02-02T10:00:00Z");
    expect(lock.files.map(({ name, size }) => [name, size])).toEqual([
      ["llama-3.1-8b", 4976698672],
      ["tokenizer/vocab & <merges>", 1048576],
    ]);
  });

  test("a lock as Cog's generator wrote it, gzip said over plain bytes", () => {
    const { created, files } = parseWeightsLock(fixture("cog-generator.lock"), "weights.lock");
    expect(created).toBe("2026-02-04T17:21:40.482913045Z");
    expect(files.map(({ name }) => name)).toEqual(["weights-002", "weights-001"]);
    for (const file of files) {
      expect(file.mediaType).toBe("application/vnd.cog.weights.layer.v1+gzip");
      expect(file.digest).toBe(file.digestOriginal);
      expect(file.size).toBe(file.sizeUncompressed);
    }
  });

  test("a byte order mark in front", () => {
    const bytes = new Uint8Array([0xef, 0xbb, 0xbf, ...fixture("weights.lock")]);
    expect(parseWeightsLock(bytes, "weights.lock").files).toHaveLength(2);
  });
});

describe("writing", () => {
  test("gives the bytes of the format", () => {
    const bytes = fixture("weights.lock");
    expect(textOf(serializeWeightsLock(parseWeightsLock(bytes, "weights.lock")))).toBe(
      textOf(bytes),
    );
  });

  test("sorts by the bytes of the names, as Go does", () => {
    const names = ["b", "\u{1F600}", "a/b", "\uFF5E", "a.b", "B"];
    const lock = parse(lockOf(...names.map((name, index) => entry(name, { dest: `/${index}` }))));
    const { files } = parseWeightsLock(serializeWeightsLock(lock), "weights.lock");
    expect(files.map(({ name }) => name)).toEqual(["B", "a.b", "a/b", "b", "\uFF5E", "\u{1F600}"]);
  });

  test("keeps unknown members of the lock and of its entries", () => {
    const value = {
      ...lockOf(entry("a", { source: "hf://acme/llama", more: { deep: [1, null] } })),
      generator: { name: "cog" },
    };
    expect(JSON.parse(textOf(serializeWeightsLock(parse(value))))).toEqual(value);
  });
});

describe("refuses", () => {
  test("another version by its name", () => {
    expect(refusal({ ...lockOf(), version: "1.0" })).toBe(
      'weights.lock: version "1.0" is not supported, only "1" is',
    );
    expect(refusal({ ...lockOf(), version: 1 })).toBe(
      'weights.lock: version of type number is not supported, only "1" is',
    );
  });

  test.each([
    ["no document", "", "weights.lock: not a JSON document"],
    ["half a document", '{"version": "1"', "weights.lock: not a JSON document"],
    ["a list", "[]", "weights.lock: must be an object"],
    ["null", "null", "weights.lock: must be an object"],
  ])("%s", (_, text, message) => {
    expect(() => parseWeightsLock(new TextEncoder().encode(text), "weights.lock")).toThrow(message);
  });

  test.each([
    ["a created that is no time", { created: "yesterday" }, "created: must be an RFC 3339 time"],
    ["no list of files", { files: {} }, "files: must be a list"],
  ])("%s", (_, members, message) => {
    expect(refusal({ ...lockOf(), ...members })).toContain(message);
  });

  test.each([
    ["a relative dest", dest("cache/x"), 'entry "a": dest "cache/x" must be an absolute path'],
    ["an empty dest", dest(""), 'entry "a": dest "" must be an absolute path'],
    ["a dest with ..", dest("/a/../b"), 'dest "/a/../b" must not have a ".." component'],
    ["a dest that ends in ..", dest("/a/.."), 'must not have a ".." component'],
    ["a dest with .", dest("/a/./b"), 'dest "/a/./b" must not have a "." component'],
    ["an empty component", dest("/a//b"), 'dest "/a//b" must not have an empty component'],
    ["a slash at the end", dest("/a/"), 'dest "/a/" must not have an empty component'],
    ["the root", dest("/"), 'dest "/" must not have an empty component'],
    ["a backslash", dest("/a\\b"), 'dest "/a\\\\b" must not have a backslash'],
    ["a NUL", dest("/a\0b"), 'dest "/a\\u0000b" must not have a NUL or control character'],
    ["a newline", dest("/a\nb"), 'dest "/a\\nb" must not have a NUL or control character'],
    ["an escape", dest("/a\u009bb"), "must not have a NUL or control character"],
    ["half a surrogate pair", dest("/a\ud800"), "must be well-formed Unicode"],
    ["a dest that is no text", dest(5), 'entry "a": dest must be a string'],
    [
      "a short digest",
      entry("a", { digest: "sha256:abc" }),
      'entry "a": digest must be "sha256:" and 64 lower-case hex digits',
    ],
    [
      "an upper-case digest",
      entry("a", { digestOriginal: `sha256:${"A".repeat(64)}` }),
      'entry "a": digestOriginal must be "sha256:"',
    ],
    [
      "another algorithm",
      entry("a", { digest: `sha512:${"a".repeat(128)}` }),
      'entry "a": digest must be "sha256:"',
    ],
    ["a negative size", entry("a", { size: -1 }), 'entry "a": size must not be negative'],
    ["half a byte", entry("a", { size: 1.5 }), 'entry "a": size must be a whole number'],
    [
      "a size beyond what can be counted",
      entry("a", { sizeUncompressed: 2 ** 53 }),
      'entry "a": sizeUncompressed must be a whole number of bytes below 2^53',
    ],
    ["a size as text", entry("a", { size: "10" }), 'entry "a": size must be a number'],
    [
      "an unknown media type",
      entry("a", { mediaType: "application/vnd.cog.weights.layer.v1+br" }),
      'entry "a": mediaType "application/vnd.cog.weights.layer.v1+br" is not a media type of a weights layer',
    ],
    ["a missing member", entry("a", { digest: undefined }), 'entry "a": digest is missing'],
    ["an empty name", entry(""), "entry 1: name must not be empty"],
    ["no name", entry("a", { name: undefined }), "entry 1: name is missing"],
    ["an entry that is none", "a", "entry 1: must be an object"],
  ])("%s", (_, file, message) => {
    expect(refusal(lockOf(file))).toContain(message);
  });

  test("two entries with one name", () => {
    expect(refusal(lockOf(entry("a"), entry("b"), entry("a", { dest: "/other" })))).toBe(
      'weights.lock: entry "a": the name is used twice',
    );
  });

  test("two entries with one dest", () => {
    expect(refusal(lockOf(entry("a", { dest: "/x/y" }), entry("b", { dest: "/x/y" })))).toBe(
      'weights.lock: entry "b": dest "/x/y" is also used by "a"',
    );
  });

  test.each([
    ["before", [entry("b", { dest: "/x/y/z" }), entry("a", { dest: "/x" })]],
    ["after", [entry("a", { dest: "/x" }), entry("b", { dest: "/x/y/z" })]],
  ])("a dest nested under another's, listed %s it", (_, files) => {
    expect(refusal(lockOf(...files))).toBe(
      'weights.lock: entry "b": dest "/x/y/z" is nested under "/x", the dest of "a"',
    );
  });

  test("nothing about dests that only start alike", () => {
    expect(
      parse(lockOf(entry("a", { dest: "/x" }), entry("b", { dest: "/xy" }))).files,
    ).toHaveLength(2);
  });

  test("with the name escaped", () => {
    expect(refusal(lockOf(entry("a\n\u001b[31m", { dest: "/a", size: -1 })))).toContain(
      'entry "a\\n\\u001b[31m": size',
    );
  });
});

test("10,000 entries take no time that grows with their square", () => {
  const files = Array.from({ length: 10_000 }, (_, index) =>
    entry(`w${index}`, { dest: `/deep/${"x/".repeat(20)}${index}`, digest: digest("b") }),
  );
  const bytes = bytesOf(lockOf(...files));
  const started = performance.now();
  expect(parseWeightsLock(bytes, "weights.lock").files).toHaveLength(10_000);
  expect(performance.now() - started).toBeLessThan(3000);
});
