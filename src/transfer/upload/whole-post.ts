import { OcibundleError } from "../../errors.ts";
import type { BlobSource } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Repository } from "../../registry/types.ts";
import { KiB } from "../units.ts";
import { checkSource } from "../check-source.ts";
import type { RegistryTraits } from "./registry-traits.ts";
import { isSlow } from "./chunk-size.ts";
import { uploadBody } from "./upload-body.ts";
import type { UploadRunOptions } from "./upload-context.ts";
import { noteRate } from "./first-rate.ts";
import { isForPut } from "./upload-method.ts";
import { uploadPosition } from "./upload-position.ts";

/**
 * Whether a registry takes a blob with the request that would open a session is tried with one up to so many bytes:
 * where it does not, they are lost, and a server that does not read them may close the connection after more.
 */
const largestTrial = 64 * KiB;

/** A blob that may be sent with one POST. */
export interface WholePost {
  repository: Repository;
  descriptor: Descriptor;
  source: BlobSource;
  traits: RegistryTraits;
}

/**
 * Sends a blob with one POST where the registry is known to take that. False where it is not sent: that is not known,
 * or the blob is too large for it, or it failed, which the upload in a session tells more of. Throws as `checkSource`.
 */
export async function postWhole(
  { repository, descriptor, source, traits }: WholePost,
  { signal, emit, onBytes }: UploadRunOptions,
): Promise<boolean> {
  const { digest, size } = descriptor;
  if (traits.wholePosts !== true || !isForPut(size, traits)) return false;
  const at = uploadPosition(onBytes);
  const slow = source.kind !== "file" || isSlow(size, traits.rate);
  const body = uploadBody(
    source,
    { start: 0, end: size },
    { signal, onPosition: slow ? (position) => at.tell(position) : undefined },
  );
  const started = performance.now();
  let reason = "it has opened a session";
  try {
    if (await repository.postBlob(digest, body, signal)) {
      noteRate(traits, size, performance.now() - started);
      at.tell(size);
      return true;
    }
    traits.wholePosts = false;
  } catch (error) {
    signal.throwIfAborted();
    await checkSource(source);
    if (!(error instanceof OcibundleError)) throw error;
    // What was fast may be slow now: the next body is watched while it is sent.
    traits.rate = 0;
    reason = error.message;
  }
  at.tell(0);
  const message = `${repository.fullName}: a blob in one POST was not stored: ${reason}`;
  emit?.({ type: "detail", message });
  return false;
}

/**
 * Finds out with a small blob whether the registry takes blobs with one POST, unless that is known. True where the blob
 * is stored: the registry said so, and has it.
 */
export async function tryWholePost(
  { repository, descriptor, source, traits }: WholePost,
  { signal, emit, onBytes }: UploadRunOptions,
): Promise<boolean> {
  const { digest, size } = descriptor;
  if (traits.wholePosts !== undefined || size > largestTrial || size === 0) return false;
  traits.wholePosts = false;
  const body = uploadBody(source, { start: 0, end: size }, { signal });
  let reason = "it has opened a session";
  try {
    if (await repository.postBlob(digest, body, signal)) {
      if ((await repository.headBlob(digest, signal, size)) === size) {
        traits.wholePosts = true;
        onBytes?.(size);
        return true;
      }
      reason = "it said so, and does not have the blob";
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof OcibundleError)) throw error;
    reason = error.message;
  }
  const { host } = repository.registry;
  emit?.({ type: "detail", message: `${host} does not accept a blob in one POST: ${reason}` });
  return false;
}
