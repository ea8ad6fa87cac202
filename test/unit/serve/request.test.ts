import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { encodePath, joined, parseTarget } from "../../../src/serve/request.ts";

describe("a request's target", () => {
  test("keeps a slash that is encoded within its segment", () => {
    const target = parseTarget("/api/models/a/b/revision/refs%2Fpr%2F1?blobs=True&x");
    expect(target?.segments).toEqual(["api", "models", "a", "b", "revision", "refs/pr/1"]);
    expect(target?.query.get("blobs")).toBe("True");
  });

  test("resolves nothing", () => {
    expect(parseTarget("/a/../b/%2e%2e/c")?.segments).toEqual(["a", "..", "b", "..", "c"]);
  });

  test.each(["*", "http://x/", "", "/a%00b", "/a%0ab", "/%", "/%ff"])("is refused: %p", (text) => {
    expect(parseTarget(text)).toBeUndefined();
  });

  test("is decoded to what was encoded, whatever that is", () => {
    const name = fc
      .string({ unit: "grapheme", minLength: 1 })
      .filter((text) => !/[\p{Cc}/]/u.test(text));
    fc.assert(
      fc.property(fc.array(name, { minLength: 1 }), (names) => {
        expect(parseTarget(`/${encodePath(names.join("/"))}`)?.segments).toEqual(names);
      }),
    );
  });

  test("has a path whose last slashes say nothing", () => {
    expect(joined(["onnx", "", ""])).toBe("onnx");
    expect(joined([])).toBe("");
  });
});
