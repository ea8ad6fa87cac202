import { shortDigest } from "../../oci/digest.ts";
import type { BlobReport } from "../../report/models-report.ts";

/** What a blob is called: the weight files that it stores or is a part of, or its kind. */
export function nameOfBlob({ names, kind, digest }: BlobReport): string {
  const [first, ...more] = names;
  const part = kind === "part" ? "part of " : "";
  if (first !== undefined) {
    return more.length === 0 ? `${part}${first}` : `${part}${first} and ${more.length} more`;
  }
  return `${kind} ${shortDigest(digest)}`;
}

/** How much versions share of a blob: the class that gives it its color. */
export function shareOf(versions: readonly number[], all: number): "all" | "some" | "one" {
  if (versions.length === all && all > 1) return "all";
  return versions.length === 1 ? "one" : "some";
}

/** `all versions`, `v2 only`, `v1, v2`, `7 versions`. */
export function versionsLabel(versions: readonly number[], labels: readonly string[]): string {
  const [first = 0] = versions;
  if (versions.length === 1)
    return labels.length === 1 ? (labels[0] ?? "") : `${labels[first]} only`;
  if (versions.length === labels.length) return `all ${labels.length} versions`;
  if (versions.length > 3) return `${versions.length} versions (${labels[first]}, …)`;
  return versions.map((at) => labels[at]).join(", ");
}
