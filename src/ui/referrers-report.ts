import { shortDigest } from "../oci/digest.ts";
import type { ReferrerListing, ReferrerReport } from "../report/referrers.ts";
import { formatSize } from "./size.ts";
import { renderTree, type TreeNode } from "./tree.ts";

const nodeOf = (view: ReferrerReport): TreeNode => ({
  cells: [
    view.error === null ? (view.kind ?? "other") : "broken",
    view.artifactType ?? "",
    shortDigest(view.digest),
    { text: view.size === null ? "-" : formatSize(view.size), align: "right" },
    [...view.titles, ...(view.tag === null ? [] : [`tag ${view.tag}`])].join(", "),
  ],
  children: view.referrers.map(nodeOf),
});

/** A manifest with what refers to it, and to the manifests below it. */
export function referrersTree({ name, digest, referrers, children }: ReferrerListing): string {
  const isEmpty = referrers.length === 0 && children.length === 0;
  return renderTree({
    cells: [name, shortDigest(digest), ...(isEmpty ? ["no referrers"] : [])],
    children: [
      ...referrers.map(nodeOf),
      ...children.map((child) => ({
        cells: ["manifest", "", shortDigest(child.digest)],
        children: child.referrers.map(nodeOf),
      })),
    ],
  });
}

/** How many referrers of each kind there are, in one line. */
export function referrersLine(all: readonly ReferrerReport[]): string {
  const counts = new Map<string, number>();
  for (const { kind, error } of all) {
    const what = error === null ? (kind ?? "other") : "broken";
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  const parts = Array.from(counts, ([what, number]) => `${number} ${what}`);
  return `referrers: ${parts.length === 0 ? "none" : parts.join(", ")}\n`;
}
