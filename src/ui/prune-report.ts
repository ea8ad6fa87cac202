import { shortDigest } from "../oci/digest.ts";
import type { RepositoryPruning } from "../report/prune.ts";
import { formatSize } from "./size.ts";
import { lastLine } from "./result-line.ts";
import { type Cell, renderTable } from "./table.ts";
import { escapeText } from "./text.ts";
import type { View } from "./view.ts";

/** Reasons that a user would not expect: what the rules keep is only counted. */
const shownReasons: Readonly<Record<string, string>> = {
  moved: "kept: another client moved it",
  needed: "kept: its manifest is needed",
  unsupported: "kept: the registry cannot delete the tag alone",
  undated: "kept: no date",
};

const count = (number: number, noun: string): string =>
  `${number} ${noun}${number === 1 ? "" : "s"}`;

/** What `prune` deleted or would delete: a line for each tag, and one on all of it. */
export function pruneReport(
  { name, dryRun, tags, manifests, freed }: RepositoryPruning,
  { columns }: View = {},
): string {
  const rows = tags.flatMap(({ tag, digest, created, outcome, reason }) => {
    const what = outcome === "kept" ? shownReasons[reason ?? ""] : outcome.replace("-", " ");
    const date = created === null ? "-" : created.slice(0, 16).replace("T", " ");
    const cells: Cell[] = [{ text: tag, cut: true }, shortDigest(digest), date];
    return what === undefined ? [] : [[...cells, { text: what, wrap: true as const }]];
  });
  const gone = tags.filter(({ outcome }) => outcome !== "kept").length;
  const below = manifests.filter(({ outcome }) => outcome !== "kept").length;
  const more = below === 0 ? "" : ` and ${count(below, "manifest")} below or attached`;
  return (
    renderTable(rows, { columns }) +
    lastLine(
      `${escapeText(name)}: ${dryRun ? "would delete" : "deleted"} ${count(gone, "tag")}${more}, ` +
        `${formatSize(freed)} freed; ${count(tags.length - gone, "tag")} kept`,
      columns,
    )
  );
}
