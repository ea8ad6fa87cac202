import { shortDigest } from "../oci/digest.ts";
import type { Removal } from "../report/rm.ts";
import { escapeText } from "./text.ts";

const nameOf = ({ name, tag, digest }: Removal): string =>
  escapeText(tag === null ? `${name}@${digest}` : `${name}:${tag}`);

const list = (tags: readonly string[]): string => escapeText(tags.join(", "));

/** A line on each consequence. */
function consequences(view: Removal): string[] {
  const { what, otherTags, neededBy, referrers } = view;
  const lines: string[] = [];
  if (otherTags.length > 0) {
    const fate = what === "tag" ? "are kept" : "are deleted with it";
    lines.push(`other tags of the same manifest ${fate}: ${list(otherTags)}`);
  }
  if (neededBy.length > 0) lines.push(`the manifest is kept: needed by ${list(neededBy)}`);
  if (referrers > 0) lines.push(`signatures and other referrers are kept: ${referrers}`);
  return lines.map((line) => `  ${line}\n`);
}

const subject = (view: Removal): string =>
  view.what === "tag"
    ? `tag ${nameOf(view)} (${shortDigest(view.digest)})`
    : `manifest ${shortDigest(view.digest)} of ${nameOf(view)}`;

/** The question before anything is deleted. */
export const removalQuestion = (view: Removal): string =>
  `delete ${subject(view)}\n${consequences(view).join("")}delete it? [y/N] `;

/** What was deleted, or would be. */
export const removalReport = (view: Removal): string =>
  `${view.action === "deleted" ? "deleted" : "would delete"} ${subject(view)}\n${consequences(view).join("")}`;
