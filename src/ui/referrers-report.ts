import { shortDigest } from "../oci/digest.ts";
import type { ReferrerListing, ReferrerReport } from "../report/referrers.ts";
import { formatSize } from "./size.ts";
import { renderTree, type TreeNode } from "./tree.ts";
import type { View } from "./view.ts";

const nodeOf = (view: ReferrerReport): TreeNode => ({
  cells: [
    view.error === null ? (view.kind ?? "other") : "broken",
    { text: view.artifactType ?? "", cut: true },
    shortDigest(view.digest),
    { text: view.size === null ? "-" : formatSize(view.size), align: "right" },
    {
      text: [...view.titles, ...(view.tag === null ? [] : [`tag ${view.tag}`])].join(", "),
      cut: true,
    },
  ],
  children: view.referrers.map(nodeOf),
});

/** A manifest with what refers to it, and to the manifests below it. */
export function referrersTree(
  { name, digest, referrers, children }: ReferrerListing,
  { columns }: View = {},
): string {
  const isEmpty = referrers.length === 0 && children.length === 0;
  const tree: TreeNode = {
    cells: [name, shortDigest(digest), ...(isEmpty ? ["no referrers"] : [])],
    children: [
      ...referrers.map(nodeOf),
      ...children.map((child) => ({
        cells: ["manifest", "", shortDigest(child.digest)],
        children: child.referrers.map(nodeOf),
      })),
    ],
  };
  return renderTree(tree, columns);
}

/** How many referrers of each kind there are and how large they are together, in one line. */
export function referrersLine(all: readonly ReferrerReport[]): string {
  const kinds = Map.groupBy(all, ({ kind, error }) =>
    error === null ? (kind ?? "other") : "broken",
  );
  const parts = Array.from(kinds, ([kind, ones]) => {
    const bytes = ones.reduce((sum, { size }) => sum + (size ?? 0), 0);
    return `${ones.length} ${kind}${kind === "broken" ? "" : ` (${formatSize(bytes)})`}`;
  });
  return `referrers: ${parts.length === 0 ? "none" : parts.join(", ")}\n`;
}
