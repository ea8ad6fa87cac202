import { type Digest, shortDigest } from "../oci/digest.ts";
import { displayWidth } from "./text.ts";

/** The last line of a report, with a digest that is shortened where the terminal has no room for all of it. */
export function resultLine(
  digest: Digest,
  line: (digest: string) => string,
  columns = Number.POSITIVE_INFINITY,
): string {
  const whole = line(digest);
  return displayWidth(whole.trimEnd()) <= columns ? whole : line(shortDigest(digest));
}
