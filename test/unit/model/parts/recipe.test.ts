import { describe, expect, test } from "bun:test";
import { Segments } from "../../../../src/model/format/segment-list.ts";
import { parseRecipe, type Recipe, serializeRecipe } from "../../../../src/model/parts/recipe.ts";
import { bytesOf, digest, textOf } from "../../../support/model/fixtures.ts";
import { failureOf } from "../../../support/failure.ts";

const recipe: Recipe = {
  split: { by: "tree/1", least: 1048576, most: 536870912 },
  parts: [
    [digest("a"), 100],
    [digest("b"), 50],
  ],
  files: [
    {
      name: "a<b",
      dest: "/src/weights/a.safetensors",
      digest: digest("c"),
      size: 160,
      segments: Segments.of([
        [0, 0, 100],
        [1, 0, 50],
        [0, 90, 10],
      ]),
    },
  ],
};

const text =
  '{"version":"1","split":{"by":"tree/1","least":1048576,"most":536870912},' +
  `"parts":[["${digest("a")}",100],["${digest("b")}",50]],` +
  '"files":[{"name":"a\\u003cb","dest":"/src/weights/a.safetensors",' +
  `"digest":"${digest("c")}","size":160,"segments":[[0,0,100],[1,0,50],[0,90,10]]}]}`;

/** A recipe with other members; those of its one file apart. */
const changed = (members: object, ofFile: object = {}): Uint8Array => {
  const { files, ...rest } = JSON.parse(text) as { files: object[] };
  return bytesOf({ ...rest, files: [{ ...files[0], ...ofFile }], ...members });
};

const faultOf = async (bytes: Uint8Array): Promise<string> => {
  const { code, message } = await failureOf(Promise.resolve().then(() => parseRecipe(bytes, "it")));
  expect(code).toBe("file");
  return message;
};

test("a recipe has exact bytes, which are read back", () => {
  const bytes = serializeRecipe(recipe, "it");
  expect(textOf(bytes)).toBe(text);
  expect(parseRecipe(bytes, "it")).toEqual(recipe);
});

test("who splits by another rule is read all the same", () => {
  const bytes = changed({ split: { by: "cdc/1", average: 65536 } });
  expect(parseRecipe(bytes, "it").split.by).toBe("cdc/1");
});

test("a file may have no bytes", () => {
  expect(parseRecipe(changed({}, { size: 0, segments: [] }), "it").files[0]?.segments).toHaveLength(
    0,
  );
});

const large = Number.MAX_SAFE_INTEGER;

describe("refused is a recipe", () => {
  test.each<[string, object, object, string]>([
    ["of another version", { version: "2" }, {}, 'version "2" is not supported'],
    ["of a version that is a number", { version: 1 }, {}, "version number is not supported"],
    ["without a version", { version: undefined }, {}, "version: is missing"],
    ["that overlaps", {}, { size: 150 }, "its segments have 160 bytes, the file has 150"],
    ["with a gap", {}, { size: 170 }, "its segments have 160 bytes, the file has 170"],
    [
      "that names an absent part",
      {},
      { segments: [[2, 0, 160]] },
      "segment 1 refers to part 2 of 2",
    ],
    [
      "that reaches beyond a part",
      {},
      {
        segments: [
          [0, 0, 100],
          [1, 0, 50],
          [0, 91, 10],
        ],
      },
      "segment 3 exceeds the 100 bytes of its part",
    ],
    [
      "with an offset that can't be added to",
      {},
      { segments: [[0, large, large]] },
      "segment 1 exceeds the 100 bytes of its part",
    ],
    ["with an empty segment", {}, { segments: [[0, 0, 0]] }, "segment 1 is empty"],
    [
      "with a negative offset",
      {},
      { segments: [[0, -1, 100]] },
      "files.0.segments.0: must be a part, an offset and a length",
    ],
    [
      "with a segment of four numbers",
      {},
      { segments: [[0, 0, 100, 1]] },
      "files.0.segments.0: must be a part, an offset and a length",
    ],
    [
      "with half a byte",
      {},
      { segments: [[0, 0, 0.5]] },
      "files.0.segments.0: must be a part, an offset and a length",
    ],
    [
      "with a part that is no digest",
      { parts: [["sha256:ab", 1]] },
      {},
      "parts.0: must be a digest and a size",
    ],
    [
      "with a part of 2^63 bytes",
      { parts: [[digest("a"), 2 ** 63]] },
      {},
      "parts.0: must be a digest and a size",
    ],
    [
      "with a part twice",
      {
        parts: [
          [digest("a"), 100],
          [digest("a"), 50],
        ],
      },
      {},
      "a part is listed twice",
    ],
    [
      "that expands",
      {
        parts: [
          [digest("a"), 100],
          [digest("b"), 50],
        ],
      },
      { size: 1600 * 100, segments: Array.from({ length: 1600 }, () => [0, 0, 100]) },
      "files of 160000 bytes consist of parts of only 150",
    ],
    ["with a dest that leaves", {}, { dest: "/a/../../b" }, 'files.0.dest: "/a/../../b"'],
    ["with a name that is empty", {}, { name: "" }, "files.0.name: must not be empty"],
    ["with a digest that is none", {}, { digest: "sha256:x" }, "files.0.digest: must be"],
  ])("%s", async (_, members, ofFile, message) => {
    expect(await faultOf(changed(members, ofFile))).toContain(message);
  });

  test("with a way out, whatever is wrong", async () => {
    for (const bytes of [
      "",
      "[]",
      '{"version":"1"}',
      '{"version":"1","split":null}',
      "[".repeat(2e6),
    ]) {
      const work = Promise.resolve().then(() =>
        parseRecipe(new TextEncoder().encode(bytes), "here"),
      );
      expect((await failureOf(work)).hint).toBe("push it again");
    }
  });

  test("whose files lie in each other", async () => {
    const [file] = recipe.files;
    const files = [file, { ...file, name: "b", dest: `${file?.dest}/below` }];
    expect(await faultOf(changed({ files }))).toContain("is nested under");
  });

  test("with two sizes for a digest", async () => {
    const [file] = recipe.files;
    const other = { ...file, name: "b", dest: "/b", size: 100, segments: [[0, 0, 100]] };
    expect(await faultOf(changed({ files: [file, other] }))).toContain("has two sizes");
  });

  test("with more parts or segments than are allowed", async () => {
    const parts = Array.from({ length: 100_001 }, (_unused, at) => [
      `sha256:${String(at).padStart(64, "0")}`,
      1,
    ]);
    // Too many parts are also too many bytes.
    expect(await faultOf(changed({ parts }))).toContain("more than 4194304 bytes");
  });

  test("of 100 MB, before it is read", async () => {
    expect(await faultOf(new Uint8Array(100_000_000))).toBe(
      "it: the recipe has more than 4194304 bytes",
    );
  });

  test.each(["", "[]", "null", "{", '{"version":"1"}', '{"version":"1","parts":[],"files":{}}'])(
    "that is %p",
    async (bytes) => {
      expect(await faultOf(new TextEncoder().encode(bytes))).toStartWith("it: recipe");
    },
  );
});

test("nothing is written that is not read", () => {
  const [file] = recipe.files;
  if (file === undefined) throw new Error("the recipe has a file");
  const gap = { ...recipe, files: [{ ...file, size: 161 }] };
  expect(() => serializeRecipe(gap, "it")).toThrow("its segments have 160 bytes, the file has 161");
});
