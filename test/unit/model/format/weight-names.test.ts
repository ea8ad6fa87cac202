import { expect, test } from "bun:test";
import { giveNames } from "../../../../src/model/format/weight-names.ts";

const names = (...files: (string | [below: string, name: string])[]) =>
  giveNames(
    files.map((file) =>
      typeof file === "string"
        ? { below: file, path: `/w/${file}` }
        : { below: file[0], path: `/w/${file[0]}`, name: file[1] },
    ),
  ).map(({ name }) => name);

test("a name is the path without its last extension, directories kept", () => {
  expect(names("model.safetensors", "a/b/c.tar.gz", "LICENSE", "v1.0/weights", ".env")).toEqual([
    "model",
    "a/b/c.tar",
    "LICENSE",
    "v1.0/weights",
    ".env",
  ]);
});

test("names with spaces, unicode, a newline, a leading dash stay as they are", () => {
  expect(names("my model.bin", "gewichte-größer.bin", "two\nlines.bin", "-n.bin")).toEqual([
    "my model",
    "gewichte-größer",
    "two\nlines",
    "-n",
  ]);
});

test("where two would have one name, both keep their extension", () => {
  expect(names("vocab.json", "model.bin", "vocab.txt")).toEqual([
    "vocab.json",
    "model",
    "vocab.txt",
  ]);
});

test("a name that got its extension back can push another one", () => {
  expect(names("a.bin", "a.txt", "a.bin.gz")).toEqual(["a.bin", "a.txt", "a.bin.gz"]);
});

test("a given name stays, and the other keeps its extension", () => {
  expect(names(["x.bin", "model"], "model.safetensors")).toEqual(["model", "model.safetensors"]);
});

test("a clash that no extension ends names both paths", () => {
  expect(() => names(["x.bin", "model"], ["y.bin", "model"])).toThrow(
    'two weight files would have the name "model": "/w/x.bin" and "/w/y.bin"',
  );
});
