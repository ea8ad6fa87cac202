import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { jsonPieces } from "../../src/cli/print-report.ts";
import { nodesOf, renderTree, type TreeNode, treeLines } from "../../src/ui/tree.ts";
import { fewerRuns } from "../support/property-runs.ts";

test("a report in pieces is the same JSON as at once", () => {
  const members = fc.dictionary(
    fc.string(),
    fc.oneof(fc.jsonValue(), fc.constant(undefined), fc.date({ noInvalidDate: true })),
  );
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), members), (value) => {
      expect([...jsonPieces(value)].join("")).toBe(`${JSON.stringify(value, null, 2)}\n`);
    }),
    fewerRuns(1),
  );
});

test("a long list in a report is printed in many pieces", () => {
  const tensors = Array.from({ length: 1000 }, (_, at) => ({ name: `t${at}`, shape: [at, 2] }));
  const report = { files: [{ name: "a", tensors }] };
  const pieces = [...jsonPieces(report)];
  expect(pieces.join("")).toBe(`${JSON.stringify(report, null, 2)}\n`);
  expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(200);
});

test("a tree whose nodes are made when they are looked at has the same lines", () => {
  const row = fc.array(
    fc.oneof(
      fc.string(),
      fc.record({ text: fc.string(), align: fc.constant("right" as const) }),
      fc.record({ text: fc.string(), cut: fc.constant(true as const) }),
    ),
    { minLength: 1, maxLength: 3 },
  );
  const tree = fc.memo((levels): fc.Arbitrary<TreeNode> =>
    fc.record({ cells: row, children: levels <= 1 ? fc.constant([]) : fc.array(tree(levels - 1)) }),
  );
  const lazy = ({ cells, children = [] }: TreeNode): TreeNode => ({
    cells,
    children: nodesOf(children, lazy),
  });
  fc.assert(
    fc.property(tree(3), fc.option(fc.integer({ min: 10, max: 60 })), (root, columns) => {
      const lines = [...treeLines(lazy(root), columns ?? undefined)];
      expect(lines.join("")).toBe(renderTree(root, columns ?? undefined));
      expect(lines.every((line) => line.indexOf("\n") === line.length - 1)).toBe(true);
    }),
    fewerRuns(0.5),
  );
});
