import * as v from "valibot";
import { DescriptorSchema } from "./descriptor.ts";
import { faultOf } from "./document.ts";
import { parseManifest } from "./manifest-sizes.ts";
import { AnyIndexSchema, type ImageIndex, type RawManifest } from "./manifest.ts";

/** An entry of an index that can't be read: `null`, or one whose digest is of an algorithm that is not known here. */
export interface UnreadableEntry {
  /** As it is in the document. */
  value: unknown;
  /** What is wrong with it, with its path: `manifests.3.digest: must be a digest…`. */
  why: string;
}

/** An index whose entries were read one by one. */
export interface IndexEntries {
  /** With the entries that can be read. */
  index: ImageIndex;
  unreadable: UnreadableEntry[];
}

/**
 * Reads an index from which something is chosen: what else it lists need not be readable. An index that is
 * copied or verified as a whole is read by `ImageIndexSchema`. Throws as {@link parseDocument}.
 */
export function parseIndexEntries(
  bytes: Uint8Array | RawManifest,
  on: string,
  code?: "file" | "network",
): IndexEntries {
  const raw = bytes instanceof Uint8Array ? { bytes } : bytes;
  const { manifests, ...members } = parseManifest(raw, AnyIndexSchema, on, code);
  const index: ImageIndex = { ...members, manifests: [] };
  const unreadable: UnreadableEntry[] = [];
  for (const [at, value] of manifests.entries()) {
    const result = v.safeParse(DescriptorSchema, value);
    if (result.success) index.manifests.push(result.output);
    else {
      const fault = faultOf(result.issues);
      const separator = v.getDotPath(result.issues[0]) === null ? ": " : ".";
      unreadable.push({ value, why: `manifests.${at}${separator}${fault}` });
    }
  }
  return { index, unreadable };
}

/** What is said of entries that can't be read: the first of them, and how many more; undefined for none. */
export function unreadableText(entries: readonly UnreadableEntry[]): string | undefined {
  const [first] = entries;
  if (first === undefined) return undefined;
  const more = entries.length > 1 ? `, and ${entries.length - 1} more` : "";
  return `an entry cannot be read: ${first.why}${more}`;
}
