import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import { parseDocument } from "../../oci/document.ts";
import { goObject } from "../../oci/go-object.ts";
import { parseIndexEntries, unreadableText } from "../../oci/index-entries.ts";
import { type ImageIndex, type RawManifest, SubjectSchema } from "../../oci/manifest.ts";
import { isIndexType, isManifestType } from "../../oci/media-types.ts";
import { referrersTags } from "../../oci/referrers-tag.ts";
import { tagOf } from "./documents.ts";

const AboutSchema = goObject({ subject: v.optional(SubjectSchema) });

/**
 * The manifests of a layout whose `subject` is `digest`: those that index.json lists, and those in the
 * list that the referrers tag names. Entries of other kinds are passed over; a manifest that can't be
 * read is reported to `onPassed`.
 */
export async function layoutReferrers(
  { manifests }: ImageIndex,
  digest: Digest,
  read: (entry: Digest, expected: Descriptor) => Promise<RawManifest>,
  onPassed: ((message: string) => void) | undefined,
): Promise<Descriptor[]> {
  const referrers = new Map<Digest, Descriptor>();
  const tags = referrersTags(digest);
  for (const entry of manifests) {
    let manifest: RawManifest;
    try {
      manifest = await read(entry.digest, entry);
      const tag = tagOf(entry);
      if (tag !== undefined && tags.includes(tag) && isIndexType(manifest.mediaType)) {
        const list = parseIndexEntries(manifest.bytes, shortDigest(entry.digest));
        for (const one of list.index.manifests) referrers.set(one.digest, one);
        const text = unreadableText(list.unreadable);
        if (text !== undefined) onPassed?.(`${tag}: ${text}`);
      }
      const { subject } = parseDocument(manifest.bytes, AboutSchema, shortDigest(entry.digest));
      if (subject?.digest === digest) referrers.set(entry.digest, entry);
    } catch (error) {
      if (!(error instanceof OcibundleError)) throw error;
      const { mediaType } = entry;
      // Files of any kind may be listed; only a manifest could have been a referrer.
      if (isManifestType(mediaType) || isIndexType(mediaType)) onPassed?.(error.message);
    }
  }
  return [...referrers.values()];
}
