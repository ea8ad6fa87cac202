import { describe, expect, test } from "bun:test";
import { readChild } from "../../../../src/model/graph/read-child.ts";
import { failureOf } from "../../../support/failure.ts";
import { amd64, entryOf, layoutBench, signal } from "../../../support/model/layout-bench.ts";

describe("a child", () => {
  test("has the size that its index says", async () => {
    const { layout, image } = await layoutBench();
    const one = await image(amd64, "one");
    const size = one.bytes.byteLength + 1;
    const error = await failureOf(readChild(layout, entryOf(one, { size }), signal));
    expect(error.code).toBe("integrity");
    expect(error.message).toEndWith(`has ${one.bytes.byteLength} bytes, the index says ${size}`);
  });
});
