import { OcibundleError } from "../../errors.ts";
import type { UnnamedBlob } from "../../oci/content.ts";
import type { Repository } from "../../registry/types.ts";
import { hashingSource, type Sha256 } from "./hashing-source.ts";
import { MethodRefused } from "./upload-context.ts";
import { unknownTraits } from "./registry-traits.ts";
import type { UploadOptions } from "./upload.ts";
import { runUpload } from "./upload-run.ts";
import { resumeSession } from "./upload-session.ts";
import { firstSession } from "./first-session.ts";

/** The content turned out not to be what was expected: the upload is not finished. */
class UnexpectedContent extends Error {
  readonly digest: Sha256;

  constructor(digest: Sha256) {
    super("the content is not what was expected");
    this.digest = digest;
  }
}

/**
 * Uploads a blob in parts while it is hashed, and names its digest at the end; resumes the upload of an earlier run.
 * Undefined where the registry takes no parts. With `expected` other content is not stored; its digest is
 * returned all the same. Throws as `uploadBlob` does.
 */
export async function uploadUnnamed(
  repository: Repository,
  blob: UnnamedBlob,
  options: UploadOptions,
): Promise<Sha256 | undefined> {
  const { size, identity, label, expected } = blob;
  const { signal, traits = unknownTraits() } = options;
  if (traits.refused.has("chunks") && traits.refused.has("patch")) return undefined;
  const hashing = hashingSource(blob);
  const digest = async (stop: AbortSignal): Promise<Sha256> => {
    const found = await hashing.digest(stop);
    if (expected !== undefined && found !== expected) throw new UnexpectedContent(found);
    return found;
  };
  const notes =
    identity === undefined
      ? undefined
      : options.journal?.open(repository, { digest: identity, size });
  try {
    const found = await resumeSession(repository, { size }, { ...options, notes });
    const opened = found ?? (await firstSession(repository, options));
    try {
      const descriptor = { size, digest, label };
      await runUpload({ repository, descriptor, source: hashing.source, opened, notes }, options);
    } catch (error) {
      if (error instanceof MethodRefused) return undefined;
      if (!(error instanceof UnexpectedContent)) throw error;
      notes?.drop();
      void opened.session.cancel();
      return error.digest;
    }
    notes?.drop();
    return await hashing.digest(signal);
  } catch (error) {
    if (error instanceof OcibundleError && error.code === "integrity") notes?.drop();
    throw error;
  } finally {
    notes?.close();
  }
}
