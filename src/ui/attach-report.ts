import { type Digest, shortDigest } from "../oci/digest.ts";
import { formatSize } from "./size.ts";
import { escapeText } from "./text.ts";

/** What `attach` shows. */
export const attachReport = (result: {
  reference: string;
  subject: Digest;
  file: { title: string; size: number };
}): string =>
  `attached ${escapeText(result.file.title)} (${formatSize(result.file.size)}) to ${shortDigest(result.subject)}\n` +
  `${escapeText(result.reference)}\n`;
