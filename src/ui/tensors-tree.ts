import type { InspectedTensors, TensorsOfFile } from "../report/tensors.ts";
import { formatSize } from "./size.ts";
import { nodesOf, type TreeNode, treeLines } from "./tree.ts";
import type { View } from "./view.ts";

const cut = (text: string) => ({ text, cut: true as const });
const right = (text: string) => ({ text, align: "right" as const });

/** The files of a model, and the tensors of each, line by line: there can be hundreds of thousands. */
export const tensorsTree = (
  { name, files }: InspectedTensors,
  { columns }: View = {},
): Iterable<string> => treeLines({ cells: [cut(name)], children: files.map(fileNode) }, columns);

const fileNode = ({ dest, size, format, tensors }: TensorsOfFile): TreeNode => ({
  cells: [
    cut(dest),
    format ?? "",
    tensors === null ? "" : `${tensors.length} ${tensors.length === 1 ? "tensor" : "tensors"}`,
    right(formatSize(size)),
  ],
  children: nodesOf(tensors ?? [], (tensor) => ({
    cells: [
      cut(tensor.name),
      tensor.dtype ?? "",
      tensor.shape === null ? "" : `[${tensor.shape.join(", ")}]`,
      right(formatSize(tensor.bytes)),
    ],
  })),
});
