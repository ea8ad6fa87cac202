import { describe, expect, test } from "bun:test";
import { OcibundleError } from "../../../../src/errors.ts";
import { annotated, parseAnnotations } from "../../../../src/model/format/chosen-annotations.ts";
import { layerTypes } from "../../../../src/model/format/weight-entry.ts";
import { weightsManifest } from "../../../../src/model/format/weights-artifact.ts";

const digest = `sha256:${"a".repeat(64)}` as const;
const plain = weightsManifest([
  {
    name: "<a>",
    dest: "/a",
    digest,
    digestOriginal: digest,
    size: 1,
    sizeUncompressed: 1,
    mediaType: layerTypes.none,
  },
]);

const refused = (...texts: string[]): string => {
  try {
    parseAnnotations(texts);
  } catch (error) {
    if (error instanceof OcibundleError && error.code === "usage") return error.message;
    throw error;
  }
  return "accepted";
};

describe("annotations of the command line", () => {
  test("are keys and values, which may have further equals signs and lines", () => {
    expect(parseAnnotations(["a=b=c", "d=", "e=1\n2"])).toEqual({ a: "b=c", d: "", e: "1\n2" });
  });

  test.each([
    ["a", '--annotation "a": "=" is missing'],
    ["=b", '--annotation "": the key is empty'],
    ["a\u0007=b", "the key has control characters"],
    [" a=b", "the key has control characters, or spaces at its ends"],
    ["a=\u001B[31m", "the value has control characters"],
    [`${"k".repeat(300)}=b`, "the key is longer than 256 bytes"],
    [`a=${"v".repeat(20_000)}`, "the value is longer than 16384 bytes"],
    ["vnd.cog.weights.name=b", "the key is reserved for weights formats"],
    ["run.cog.weight.name=b", "the key is reserved for weights formats"],
    ["a=https://user:SECRET@host/x", "a URL with a username or a query"],
    ["a=see https://host/x?sig=SECRET", "a URL with a username or a query"],
    ["org.opencontainers.image.created=today", "not an RFC 3339 time"],
  ])("%#: are refused otherwise", (given, message) => {
    expect(refused(given)).toContain(message);
    expect(refused(given)).not.toContain("SECRET");
  });

  test("a key is given once", () => {
    expect(refused("a=1", "a=2")).toContain("specified twice");
  });
});

const text = ({ bytes }: { bytes: Uint8Array }): string => new TextDecoder().decode(bytes);

describe("an annotated manifest", () => {
  test("is the same one without annotations, and the same whatever their order", () => {
    expect(annotated(plain, {})).toBe(plain);
    const one = annotated(plain, { a: "1", b: "2" });
    expect(one.digest).toBe(annotated(plain, { b: "2", a: "1" }).digest);
    expect(one.digest).not.toBe(plain.digest);
    // The rest is as it was, escapes too.
    const before = text(plain);
    expect(text(one)).toBe(`${before.slice(0, -1)},"annotations":{"a":"1","b":"2"}}`);
    expect(before).toContain(String.raw`\u003ca\u003e`);
  });

  test("goes before what it had", () => {
    const twice = annotated(annotated(plain, { a: "1", b: "2" }), { b: "3" });
    expect(text(twice)).toContain('"annotations":{"a":"1","b":"3"}');
  });

  test("is refused where registries would refuse it", () => {
    const values = Object.fromEntries(
      Array.from({ length: 300 }, (_, at) => [`k${at}`, "v".repeat(16_000)]),
    );
    expect(() => annotated(plain, values)).toThrow("registries accept at most");
  });
});
