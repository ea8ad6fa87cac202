import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { shortDigest } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { embeddedContent, manifestTypeOf } from "../../oci/manifest-members.ts";

/**
 * Reads the manifest an index entry stands for, its size checked against the entry, and its `data` too. Throws
 * `integrity` where they differ, and as `readManifest`.
 */
export async function readChild(
  reader: ContentReader,
  entry: Descriptor,
  signal: AbortSignal,
): Promise<RawManifest> {
  const on = `${reader.name}: manifest ${shortDigest(entry.digest)}`;
  embeddedContent(entry, on);
  const child = await reader.readManifest(entry.digest, signal);
  if (child.bytes.byteLength !== entry.size) {
    throw new OcibundleError(
      "integrity",
      `${on} has ${child.bytes.byteLength} bytes, the index says ${entry.size}`,
    );
  }
  // What the entry says is better than what a registry says of a document without a type.
  const mediaType = manifestTypeOf(child.bytes, entry.mediaType, on) ?? child.mediaType;
  return { ...child, mediaType };
}
