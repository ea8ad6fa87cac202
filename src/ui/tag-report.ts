import { shortDigest } from "../oci/digest.ts";
import type { TagResult } from "../report/tag.ts";
import { resultLine } from "./result-line.ts";
import { renderTable } from "./table.ts";
import { escapeText } from "./text.ts";
import type { View } from "./view.ts";

/** What `tag` shows: a line for each tag, and one on what they stand for. */
export function tagReport(result: TagResult, { columns }: View = {}): string {
  const { action, reference, digest, tags } = result;
  const rows = tags.map(({ tag, outcome, before }) => [
    tag,
    outcome,
    outcome === "moved" && before !== null ? `from ${shortDigest(before)}` : "",
  ]);
  const verb = action === "would-tag" ? "would tag" : "tagged";
  const line = (shown: string) => `${verb} ${escapeText(reference.replace(digest, shown))}\n`;
  return renderTable(rows) + resultLine(digest, line, columns);
}
