import { OcibundleError } from "../../errors.ts";
import type { BlobOutcome, BlobSource } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Repository } from "../../registry/types.ts";
import type { UploadJournal } from "./upload-journal.ts";
import type { UploadRunOptions } from "./upload-context.ts";
import { takeTurn } from "./first-rate.ts";
import { runUpload } from "./upload-run.ts";
import { findSession, mountOnly } from "./upload-session.ts";
import { firstSession } from "./first-session.ts";
import { unknownTraits } from "./registry-traits.ts";
import { isForPut } from "./upload-method.ts";
import { postWhole, tryWholePost } from "./whole-post.ts";

/** How one blob is uploaded. */
export interface UploadOptions extends UploadRunOptions {
  /** Repositories of the registry that may have the blob; none unless given. */
  mountFrom?: readonly string[] | undefined;
  /** Whether many more blobs follow: what makes each of them cheaper is tried with this one. */
  ofMany?: boolean | undefined;
  /** Where large uploads are recorded, so that a later run can resume them. */
  journal?: UploadJournal | undefined;
}

/**
 * Uploads a blob to a repository: resumes the upload of an earlier run; else mounts the blob; else sends
 * it with the first method that the registry accepts. Calls `source` when the bytes are needed. After a
 * failure, asks the session what it has and sends the rest.
 * Throws `integrity` when the registry finds other bytes, `denied`, or the last failure.
 */
export async function uploadBlob(
  repository: Repository,
  descriptor: Descriptor,
  source: () => Promise<BlobSource>,
  options: UploadOptions,
): Promise<BlobOutcome> {
  const { traits = unknownTraits(), ofMany = false } = options;
  const turn = takeTurn(traits, descriptor.size);
  // Sending a blob of one request again takes less time than recording it.
  const worth = !isForPut(descriptor.size, traits);
  const notes = worth ? options.journal?.open(repository, descriptor) : undefined;
  try {
    const found = await findSession(repository, descriptor, {
      ...options,
      mounts: options.traits?.mounts,
      // A small blob may go with one request that opens none.
      needsSession: worth || traits.wholePosts === false,
      notes,
    });
    if (found === "mounted") return "mounted";
    let bytes: BlobSource;
    try {
      bytes = await source();
    } catch (error) {
      if (found?.position === 0) void found.session.cancel();
      // What is not on this machine can only be mounted: also from a repository that was not worth asking.
      if (!options.signal.aborted && (await mountOnly(repository, descriptor, options))) {
        return "mounted";
      }
      throw error;
    }
    if (found === undefined) {
      await turn.told();
      const whole = { repository, descriptor, source: bytes, traits };
      if (ofMany && (await tryWholePost(whole, options))) return "sent";
      if (await postWhole(whole, options)) return "sent";
    }
    const opened = found ?? (await firstSession(repository, options));
    await runUpload({ repository, descriptor, source: bytes, opened, notes }, options);
    notes?.drop();
    return "sent";
  } catch (error) {
    // Wrong bytes are not resumed.
    if (error instanceof OcibundleError && error.code === "integrity") notes?.drop();
    throw error;
  } finally {
    turn.end();
    notes?.close();
  }
}
