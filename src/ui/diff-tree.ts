import type { Changes, ModelDiff } from "../report/diff.ts";
import { formatSize } from "./size.ts";
import { renderTree, type TreeNode } from "./tree.ts";
import type { View } from "./view.ts";

const cut = (text: string) => ({ text, cut: true as const });
const right = (text: string) => ({ text, align: "right" as const });

/** A line for each weight file that differs, the image's blobs, and what it costs to get from A to B. */
export function diffTree(
  { a, b, weights, image, other, fetch, parts }: ModelDiff,
  { columns }: View = {},
): string {
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
  return renderTree(
    {
      cells: [`${a} → ${b}`],
      children: [
        ...(files.length === 0 ? [] : [{ cells: ["weights"], children: files }]),
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
                  `${parts.missing.blobs} of ${parts.total.blobs} parts, ` +
                    `${formatSize(parts.missing.bytes)} to download`,
                ],
              },
            ]),
      ],
    },
    columns,
  );
}

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
