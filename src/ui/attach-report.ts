import { shortDigest } from "../oci/digest.ts";
import type { Attached } from "../report/attach.ts";
import { formatSize } from "./size.ts";
import { escapeText } from "./text.ts";

/** What `attach` shows. */
export const attachReport = (result: Attached): string =>
  `attached ${escapeText(result.file.title)} (${formatSize(result.file.size)}) to ${shortDigest(result.subject)}\n` +
  `${escapeText(result.reference)}\n`;
