import { describe, expect, test } from "bun:test";
import { parseProjectFile } from "../../../../src/model/format/project-file.ts";
import { fixture } from "../../../support/model/fixtures.ts";

const parseOurs = (text: string) =>
  parseProjectFile(new TextEncoder().encode(text), "ocibundle.yaml");

const parse = (text: string) => parseProjectFile(new TextEncoder().encode(text), "cog.yaml");

const all = { include: [], exclude: [] };
const from = (path: string) => ({ path, ...all });

describe("reading", () => {
  test("sources as objects and lists of them, with patterns", () => {
    const [weight, other] = parse(`
weights:
  - target: /a
    source: {uri: "file://./w", include: ["*.safetensors"], exclude: [original/, secret.pem]}
  - target: /b
    source: [w, {uri: x, include: null}]
    exclude: ["*.pem"]
`).weights;
    expect(weight?.sources).toEqual([
      { path: "./w", include: ["*.safetensors"], exclude: ["original/", "secret.pem"] },
    ]);
    expect(other?.sources).toEqual([from("w"), from("x")]);
    expect(other?.exclude).toEqual(["*.pem"]);
  });

  test("a project of Cog's, its other members ignored", () => {
    expect(parseProjectFile(fixture("cog.yaml"), "cog.yaml")).toEqual({
      image: "registry.example.com/acme/llama",
      weights: [
        {
          name: "llama-3.1-8b",
          sources: [from("./weights/model.safetensors")],
          target: "/src/weights/model.safetensors",
          ...all,
        },
        {
          name: undefined,
          sources: [from("./tokenizer files")],
          target: "/src/weights/tokenizer",
          ...all,
        },
        {
          name: undefined,
          sources: [from("/srv/shared/lora.bin")],
          target: "/src/lora.bin",
          ...all,
        },
      ],
    });
  });

  test.each([
    ["an empty file", ""],
    ["only comments", "# nothing\n"],
    ["members left empty", "image:\nweights:\n"],
  ])("%s as a project of nothing", (_, text) => {
    expect(parse(text)).toEqual({ image: undefined, weights: [] });
  });

  test("an absolute file URI", () => {
    expect(parse("weights: [{source: 'FILE:///srv/w', target: /w}]").weights[0]?.sources).toEqual([
      from("/srv/w"),
    ]);
  });
});

describe("refuses", () => {
  test.each([
    ["what is no YAML", "a: [1\nb", /^cog\.yaml: line 2, column 1: /],
    ["two documents", "a: 1\n---\nb: 2", /more than one document/],
    ["a member twice", "image: a\nimage: b", /^cog\.yaml: line 2, column 1: a key is listed twice/],
    [
      "aliases without end",
      `a: &a [x]\nb: [${"*a,".repeat(200)}]\n`,
      /^cog\.yaml: not a YAML document$/,
    ],
    ["a list", "- a", /^cog\.yaml: must be a mapping$/],
    ["an image that is no text", "image: 5", /^cog\.yaml: image: must be a string$/],
    ["weights that are no list", "weights: {a: b}", /^cog\.yaml: weights: must be a list$/],
    [
      "a weight without a source",
      "weights: [{target: /a}]",
      /^cog\.yaml: weights\.0\.source: is missing$/,
    ],
    [
      "a weight without a target",
      "weights: [{source: a}]",
      /^cog\.yaml: weights\.0\.target: is missing$/,
    ],
    ["an empty source", "weights: [{source: '', target: /a}]", /source: must not be empty$/],
    [
      "a source elsewhere",
      "weights: [{source: 'ftp://a/b', target: /a}]",
      /source: "ftp:\/\/a\/b" is not a path, a "file:\/\/" URI or a source such as "hf:\/\/ORG\/MODEL"$/,
    ],
    [
      "a member of a source that is not known",
      "weights: [{source: {uri: a, includes: [x]}, target: /a}]",
      /source: unknown member "includes", expected one of uri, include, exclude$/,
    ],
    [
      "a member of a weight that is not known",
      "weights: [{source: a, target: /a, compression: zstd}]",
      /weights\.0: unknown member "compression", expected one of name, source, target, include, exclude$/,
    ],
    ["no sources", "weights: [{source: [], target: /a}]", /must have at least one source$/],
    [
      "a source that is a number",
      "weights: [{source: 5, target: /a}]",
      /source: must be a path, \{uri, include, exclude\}, or a list of them$/,
    ],
    [
      "a pattern that takes back others",
      "weights: [{source: {uri: a, exclude: ['!x']}, target: /a}]",
      /exclude\.0: must not start with "!" or have a backslash$/,
    ],
    [
      "patterns that are a text",
      "weights: [{source: {uri: a, include: x}, target: /a}]",
      /include: must be a list of patterns$/,
    ],
    [
      "a URI with a broken escape",
      "weights: [{source: 'file://%zz', target: /a}]",
      /is not a path, /,
    ],
    [
      "a relative target",
      "weights: [{source: a, target: a/b}]",
      /target: "a\/b" must be an absolute path$/,
    ],
    [
      "a target that leaves its directory",
      "weights: [{source: a, target: /a/../b}]",
      /target: .* must not have a "\.\." component$/,
    ],
  ])("%s", (_, text, message) => {
    expect(() => parse(text)).toThrow(message);
  });

  test("in ocibundle.yaml what is not known, but for names that start with x-", () => {
    expect(() => parseOurs("platform: linux/arm64")).toThrow(
      'ocibundle.yaml: unknown member "platform", expected one of image, weights',
    );
    expect(parseOurs("x-team: a").weights).toEqual([]);
  });

  test.each([
    ["layout: tarball", '"tarball"'],
    ["layout: 3", '"3"'],
  ])("%s, naming the file and the layouts there are", (text, shown) => {
    expect(() => parseOurs(text)).toThrow(
      expect.objectContaining({
        code: "file",
        message: `ocibundle.yaml: layout ${shown} is not a layout`,
        hint: "use one of bundle, bundle-1, parts, cog, modelpack, image",
      }),
    );
  });

  test("bytes that are no UTF-8", () => {
    expect(() => parseProjectFile(new Uint8Array([0xff, 0xfe]), "cog.yaml")).toThrow(
      "cog.yaml: not UTF-8 text",
    );
  });
});
