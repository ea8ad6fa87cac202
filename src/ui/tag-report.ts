import { shortDigest } from "../oci/digest.ts";
import type { TagResult } from "../report/tag.ts";
import { renderTable } from "./table.ts";
import { escapeText } from "./text.ts";

/** What `tag` shows: a line for each tag, and one on what they stand for. */
export function tagReport({ action, reference, tags }: TagResult): string {
  const rows = tags.map(({ tag, outcome, before }) => [
    tag,
    outcome,
    outcome === "moved" && before !== null ? `from ${shortDigest(before)}` : "",
  ]);
  return `${renderTable(rows)}${action === "would-tag" ? "would tag" : "tagged"} ${escapeText(reference)}\n`;
}
