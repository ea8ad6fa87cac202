import { expect, test } from "bun:test";
import { type Segment, Segments } from "../../../../src/model/format/segment-list.ts";
import { asItIs } from "../../../../src/model/parts/parts-artifact.ts";
import { wholeParts } from "../../../../src/model/parts/whole-parts.ts";
import { digest } from "../../../support/model/fixtures.ts";

test.each([
  [100_000, 100_000],
  [100_001, undefined],
])("a part that a file has %d times is so many parts", (count, parts) => {
  const segments = Segments.of(Array.from({ length: count }, (): Segment => [0, 0, 1]));
  const listed = { split: { by: "tree/1" }, parts: [asItIs([digest("a"), 1])], segments };
  expect(wholeParts(listed)?.plan.length).toBe(parts);
});
