import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { OcibundleError } from "../errors.ts";
import type { BlobSource } from "../oci/content.ts";
import { readingCode, unreadableBecause } from "../runtime/file-faults.ts";

/**
 * Throws `integrity` when a source is known not to be what its descriptor was made from, and `file` or
 * `system` when it can't be read: as a body that would look like a connection that was closed.
 */
export async function checkSource(source: BlobSource | undefined): Promise<void> {
  if (source?.kind !== "file") return;
  await source.check?.();
  await checkReadable(source);
}

/** Throws `file` or `system` when a source is a file that can't be read. */
export async function checkReadable(source: BlobSource): Promise<void> {
  if (source.kind !== "file") return;
  try {
    await access(source.path, constants.R_OK);
  } catch (cause) {
    const why = unreadableBecause(cause);
    throw new OcibundleError(readingCode(cause), `"${source.path}" ${why}`, {
      path: source.path,
      cause,
    });
  }
}
