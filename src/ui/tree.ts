import { runtime } from "../runtime/current.ts";
import { alignedRows } from "./table.ts";
import type { Cell } from "./table.ts";

/** A line of a tree, in cells that are aligned among siblings, and what hangs below it. */
export interface TreeNode {
  cells: readonly Cell[];
  /** Gone through twice: for the widths of columns, and for the lines. */
  children?: Iterable<TreeNode>;
}

/** After so many nodes memory is cleared: what is left of each is several times its line. */
const manyNodes = 20_000;

/** A node for each item of a list, made each time that it is gone through: nothing is kept of a long one. */
export const nodesOf = <T>(
  list: Iterable<T>,
  nodeOf: (item: T) => TreeNode,
): Iterable<TreeNode> => ({
  *[Symbol.iterator]() {
    let made = 0;
    for (const item of list) {
      yield nodeOf(item);
      made += 1;
      if (made % manyNodes === 0) runtime.collectGarbage();
    }
  },
});

/**
 * A tree with ├─ and └─, one line a node, each ending in a newline; cells that may be cut are cut to `columns`
 * of a terminal where given. Control characters are shown escaped.
 */
export const renderTree = (root: TreeNode, columns?: number): string =>
  [...treeLines(root, columns)].join("");

/** The same line by line. */
export function* treeLines(
  { cells, children = [] }: TreeNode,
  columns?: number,
): Generator<string, void, undefined> {
  for (const lines of alignedRows([cells], columns)) for (const line of lines) yield `${line}\n`;
  for (const line of branches(children, columns)) yield `${line}\n`;
}

const indent = 3;

function* branches(nodes: Iterable<TreeNode>, columns?: number): Generator<string> {
  const within = columns === undefined ? undefined : columns - indent;
  const rows = { [Symbol.iterator]: () => Iterator.from(nodes).map(({ cells }) => cells) };
  const labels = alignedRows(rows, within);
  const all = nodes[Symbol.iterator]();
  for (let node = all.next(); node.done !== true;) {
    const { children = [] } = node.value;
    node = all.next();
    const isLast = node.done === true;
    const [first = "", ...more] = labels.next().value ?? [];
    yield `${isLast ? "└─" : "├─"} ${first}`;
    const before = isLast ? "   " : "│  ";
    for (const line of more) yield `${before}${line}`;
    for (const line of branches(children, within)) yield `${before}${line}`;
  }
}
