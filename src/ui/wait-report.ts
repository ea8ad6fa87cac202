import { isDigest } from "../oci/digest.ts";
import type { WaitReport } from "../report/wait.ts";
import { resultLine } from "./result-line.ts";
import { escapeText } from "./text.ts";
import type { View } from "./view.ts";

/** What `wait` shows. A marker is a file, so its digest may be anything. `shownDir`: the directory as it was named. */
export function waitReport(
  { digest, shownDir }: Pick<WaitReport, "digest"> & { shownDir: string },
  { columns }: View = {},
): string {
  const line = (shown: string) => `${escapeText(shown)} is ready in ${escapeText(shownDir)}\n`;
  return isDigest(digest) ? resultLine(digest, line, columns) : line(digest);
}
