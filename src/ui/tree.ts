import { alignColumns } from "./table.ts";
import type { Cell } from "./table.ts";

/** A line of a tree, in cells that are aligned among siblings, and what hangs below it. */
export interface TreeNode {
  cells: readonly Cell[];
  children?: readonly TreeNode[];
}

/**
 * A tree with ├─ and └─, one line a node, each ending in a newline; cells that may be cut are cut to `columns`
 * of a terminal where given. Control characters are shown escaped.
 */
export function renderTree(root: TreeNode, columns?: number): string {
  return [...alignColumns([root.cells], columns).flat(), ...branches(root.children ?? [], columns)]
    .map((line) => `${line}\n`)
    .join("");
}

const indent = 3;

function branches(nodes: readonly TreeNode[], columns?: number): string[] {
  const within = columns === undefined ? undefined : columns - indent;
  const labels = alignColumns(
    nodes.map(({ cells }) => cells),
    within,
  );
  return nodes.flatMap(({ children }, index) => {
    const last = index === nodes.length - 1;
    const [first = "", ...more] = labels[index] ?? [];
    return [
      `${last ? "└─" : "├─"} ${first}`,
      ...[...more, ...branches(children ?? [], within)].map(
        (line) => `${last ? "   " : "│  "}${line}`,
      ),
    ];
  });
}
