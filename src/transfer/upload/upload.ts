import { OcibundleError } from "../../errors.ts";
import type { BlobOutcome, BlobSource } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Repository } from "../../registry/types.ts";
import type { UploadJournal } from "./upload-journal.ts";
import { Upload, type UploadRunOptions } from "./upload-run.ts";
import { findSession, newSession } from "./upload-session.ts";
import { smallBlob } from "./upload-method.ts";

export interface UploadOptions extends UploadRunOptions {
  mountFrom?: readonly string[] | undefined;
  /** Where large uploads are noted, for a later run to go on with. */
  journal?: UploadJournal | undefined;
}

/**
 * Brings a blob's bytes into a repository: an earlier run's upload is gone on with; else mounted where
 * that works, else uploaded in the first way that the registry takes. `source` is called when its bytes
 * are needed. After a failure the session is asked what it has, and the rest is sent.
 * Throws `integrity` when the registry finds other bytes, `denied`, or the last failure.
 */
export async function uploadBlob(
  repository: Repository,
  descriptor: Descriptor,
  source: () => Promise<BlobSource>,
  options: UploadOptions,
): Promise<BlobOutcome> {
  // A small blob is sent again sooner than anything is noted about it.
  const worth = descriptor.size > smallBlob;
  const notes = worth ? options.journal?.open(repository, descriptor) : undefined;
  try {
    const found = await findSession(repository, descriptor, { ...options, notes });
    if (found === "mounted") return "mounted";
    let bytes: BlobSource;
    try {
      bytes = await source();
    } catch (error) {
      if (found?.position === 0) void found.session.cancel();
      throw error;
    }
    const session = found ?? (await newSession(repository, options.signal));
    await new Upload(repository, descriptor, bytes, session, notes, options).run();
    notes?.drop();
    return "sent";
  } catch (error) {
    // Wrong bytes are nothing to go on with.
    if (error instanceof OcibundleError && error.code === "integrity") notes?.drop();
    throw error;
  } finally {
    notes?.close();
  }
}
