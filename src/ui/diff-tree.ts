import type { Changes, ComparedTensor, ModelDiff, TensorsDiff } from "../report/diff.ts";
import { formatSize } from "./size.ts";
import { nodesOf, type TreeNode, treeLines } from "./tree.ts";
import type { View } from "./view.ts";

const cut = (text: string) => ({ text, cut: true as const });
const right = (text: string) => ({ text, align: "right" as const });

/**
 * A line for each weight file and tensor that differs, the image's blobs, and what it costs to get from A to B, line by
 * line: there can be hundreds of thousands of tensors.
 */
export function diffTree(
  { a, b, weights, image, other, fetch, parts, tensors }: ModelDiff,
  { columns }: View = {},
): Iterable<string> {
  const files: TreeNode[] = [
    ...weights.added.map((file) => fileNode("added", file.name, file.dest, file.size)),
    ...weights.removed.map((file) => fileNode("removed", file.name, file.dest, file.size)),
    ...weights.changed.map(({ before, after }) =>
      fileNode("changed", after.name, changed(before.dest, after.dest), after.size),
    ),
    ...weights.moved.map(({ before, after }) =>
      fileNode(
        "moved",
        changed(before.name, after.name),
        changed(before.dest, after.dest),
        after.size,
      ),
    ),
    ...weights.shared.map((file) => fileNode("shared", file.name, file.dest, file.size)),
  ];
  const [images, others] = [changeNodes(image), changeNodes(other)];
  const total = fetch.weights.bytes + fetch.image.bytes;
  return treeLines(
    {
      cells: [`${a} → ${b}`],
      children: [
        ...(files.length === 0 ? [] : [{ cells: ["weights"], children: files }]),
        ...(tensors === null ? [] : tensorsNode(tensors)),
        ...(images.length === 0 ? [] : [{ cells: ["image"], children: images }]),
        ...(others.length === 0 ? [] : [{ cells: ["other"], children: others }]),
        {
          cells: [
            `to download ${formatSize(total)}: ` +
              `${formatSize(fetch.weights.bytes)} weights, ${formatSize(fetch.image.bytes)} image`,
          ],
        },
        ...(parts === null
          ? []
          : [
              {
                cells: [
                  `${parts.missing.blobs} of ${parts.total.blobs} parts of split files, ` +
                    `${formatSize(parts.missing.bytes)} to download`,
                ],
              },
            ]),
      ],
    },
    columns,
  );
}

/** So many tensors that share a part with one that changed are named; else they are counted. */
const mostNamed = 20;

/**
 * The tensors that differ, and how many are known to be the same, and how many are not. Nothing where there are none.
 */
function tensorsNode(diff: TensorsDiff): TreeNode[] {
  const { added, removed, changed, same, uncompared, unread } = diff;
  const lists = [
    nodesOf(added, (tensor) => tensorNode("added", tensor, typeOf(tensor))),
    nodesOf(removed, (tensor) => tensorNode("removed", tensor, typeOf(tensor))),
    nodesOf(changed, ({ before, after, by }) =>
      tensorNode(
        "changed",
        after,
        by === "type" ? `${typeOf(before)} → ${typeOf(after)}` : typeOf(after),
      ),
    ),
    counted("same", same.tensors, same.bytes),
    uncompared.length <= mostNamed
      ? uncompared.map((tensor) => tensorNode("not compared", tensor, typeOf(tensor)))
      : counted("not compared", uncompared.length, bytesOf(uncompared)),
    unreadIn(unread).map(({ name, dest }) => ({ cells: ["not read", cut(name), cut(dest)] })),
  ];
  const children = { [Symbol.iterator]: () => Iterator.from(lists).flatMap((list) => list) };
  const isEmpty = children[Symbol.iterator]().next().done === true;
  return isEmpty ? [] : [{ cells: ["tensors"], children }];
}

/** A file that neither side could read is one line. */
const unreadIn = ({ a, b }: TensorsDiff["unread"]): readonly { name: string; dest: string }[] => [
  ...a,
  ...b.filter(({ name, dest }) => !a.some((file) => file.name === name && file.dest === dest)),
];

const counted = (what: string, tensors: number, bytes: number): TreeNode[] =>
  tensors === 0 ? [] : [{ cells: [what, counts(tensors, "tensor"), "", right(formatSize(bytes))] }];

const bytesOf = (tensors: readonly ComparedTensor[]): number =>
  tensors.reduce((sum, { bytes }) => sum + bytes, 0);

const tensorNode = (what: string, { name, bytes }: ComparedTensor, type: string): TreeNode => ({
  cells: [what, cut(name), type, right(formatSize(bytes))],
});

const typeOf = ({ dtype, shape }: ComparedTensor): string =>
  [dtype ?? "", shape === null ? "" : `[${shape.join(", ")}]`].filter(Boolean).join(" ");

const counts = (count: number, what: string): string =>
  `${count} ${count === 1 ? what : `${what}s`}`;

const changeNodes = (changes: Changes | null): TreeNode[] =>
  (["added", "removed", "shared"] as const).flatMap((what) => {
    const { blobs, bytes } = changes?.[what] ?? { blobs: 0, bytes: 0 };
    if (blobs === 0) return [];
    const count = `${blobs} ${blobs === 1 ? "blob" : "blobs"}`;
    return [{ cells: [what, right(count), right(formatSize(bytes))] }];
  });

const fileNode = (what: string, name: string, dest: string, size: number): TreeNode => ({
  cells: [what, cut(name), cut(dest), right(formatSize(size))],
});

const changed = (before: string, after: string): string =>
  before === after ? after : `${before} → ${after}`;
