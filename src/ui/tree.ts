import { alignColumns } from "./table.ts";
import type { Cell } from "./table.ts";

/** A line of a tree, in cells that are aligned among siblings, and what hangs below it. */
export interface TreeNode {
  cells: readonly Cell[];
  children?: readonly TreeNode[];
}

/** A tree with ├─ and └─, one line a node, each ending in a newline. Control characters are shown escaped. */
export function renderTree(root: TreeNode): string {
  return [...alignColumns([root.cells]), ...branches(root.children ?? [])]
    .map((line) => `${line}\n`)
    .join("");
}

function branches(nodes: readonly TreeNode[]): string[] {
  const labels = alignColumns(nodes.map(({ cells }) => cells));
  return nodes.flatMap(({ children }, index) => {
    const last = index === nodes.length - 1;
    return [
      `${last ? "└─" : "├─"} ${labels[index] ?? ""}`,
      ...branches(children ?? []).map((line) => `${last ? "   " : "│  "}${line}`),
    ];
  });
}
