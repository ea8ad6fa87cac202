import { describe, expect, test } from "bun:test";
import { nearest } from "../../../src/cli/nearest.ts";

const flags = ["--image", "--weights", "--file", "--lock", "--format", "--plain-http", "--quiet"];

describe("the nearest name", () => {
  test.each([
    ["--imgae", "--image"],
    ["--iamge", "--image"],
    ["--weight", "--weights"],
    ["--Format", "--format"],
    ["--plainhttp", "--plain-http"],
    ["--quite", "--quiet"],
    ["--form", "--format"],
  ])("%s was meant as %s", (typed, meant) => {
    expect(nearest(typed, flags)).toBe(meant);
  });

  test.each(["--nonsense", "--x", "", "-"])("nothing is near %j", (typed) => {
    expect(nearest(typed, flags)).toBeUndefined();
  });

  test("of several, the nearest is chosen", () => {
    expect(nearest("pul", ["push", "pull"])).toBe("pull");
    expect(nearest("psuh", ["pull", "push"])).toBe("push");
  });
});
