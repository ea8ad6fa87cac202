import { describe, expect, test } from "bun:test";
import { mergeLayers } from "../../../../src/model/pull/overlay.ts";
import type { UnpackedEntry } from "../../../../src/model/pull/unpack-layer.ts";
import { digestOf } from "../../../../src/oci/digest.ts";

const file = (name: string, content: string): UnpackedEntry => ({
  type: "file",
  name,
  size: content.length,
  digest: digestOf(content),
});
const link = (name: string, target: string): UnpackedEntry => ({ type: "link", name, target });
const symlink = (name: string, target: string): UnpackedEntry => ({
  type: "symlink",
  name,
  target,
});

/** The merged files by name, with their digests. */
const merged = (...layers: UnpackedEntry[][]): Record<string, string> =>
  Object.fromEntries(mergeLayers(layers).files.map(({ name, digest }) => [name, digest]));

describe("layers laid one over the other", () => {
  test("a hard link keeps its content when its first name gets another", () => {
    expect(merged([file("m/a", "old"), link("m/b", "m/a")], [file("m/a", "new")])).toEqual({
      "m/a": digestOf("new"),
      "m/b": digestOf("old"),
    });
  });

  test("a hard link keeps its content when its first name is removed", () => {
    expect(merged([file("m/a", "old"), link("m/b", "/m/a")], [file("m/.wh.a", "")])).toEqual({
      "m/b": digestOf("old"),
    });
  });

  test("a hard link to a file of a lower layer is that file", () => {
    expect(merged([file("m/a", "old")], [link("m/b", "m/a"), file("m/a", "new")])).toEqual({
      "m/a": digestOf("new"),
      "m/b": digestOf("old"),
    });
  });

  test("a hard link to a symbolic link leads where that leads", () => {
    expect(merged([file("x", "x"), symlink("a", "x"), link("b", "a")])).toEqual({
      x: digestOf("x"),
      a: digestOf("x"),
      b: digestOf("x"),
    });
  });

  test("a file is gone where a later layer has a directory", () => {
    expect(merged([file("m/a", "x")], [file("m/a/b", "y")])).toEqual({ "m/a/b": digestOf("y") });
  });

  test("a file below a link to a directory lies in that directory", () => {
    expect(
      merged(
        [file("usr/lib/a", "a"), symlink("lib", "usr/lib")],
        [{ type: "directory", name: "lib" }, file("lib/b", "b")],
      ),
    ).toEqual({ "usr/lib/a": digestOf("a"), "usr/lib/b": digestOf("b") });
  });

  test("a path is followed through links to directories, and a circle leads nowhere", () => {
    const { follow, unresolved } = mergeLayers([
      [file("m/v1/a", "a"), symlink("m/now", "v1"), symlink("x", "y"), symlink("y", "x")],
    ]);
    expect(follow("m/now")).toBe("m/v1");
    expect(follow("m/now/../now/a")).toBe("m/v1/a");
    expect(follow("x")).toBeUndefined();
    expect(unresolved).toEqual(["m/now", "x", "y"]);
  });
});
