import { type Digest, shortDigest } from "../oci/digest.ts";
import { displayWidth, wrap } from "./text.ts";

const indent = "  ";

/**
 * The last line of a report. Where the terminal has no room for it, the digest is shortened; where that is
 * not enough, the line is broken between words.
 */
export function resultLine(
  digest: Digest,
  line: (digest: string) => string,
  columns = Number.POSITIVE_INFINITY,
): string {
  const whole = line(digest);
  if (displayWidth(whole.trimEnd()) <= columns) return whole;
  const short = line(shortDigest(digest)).trimEnd();
  if (displayWidth(short) <= columns) return `${short}\n`;
  return lastLine(short, columns);
}

/** A line on all of a report, broken between words where the terminal has no room for it. */
export function lastLine(line: string, columns = Number.POSITIVE_INFINITY): string {
  if (displayWidth(line) <= columns) return `${line}\n`;
  return `${wrap(line, columns - indent.length).join(`\n${indent}`)}\n`;
}
