import { requireImage } from "../graph/require-image.ts";
import { readAllContents } from "../graph/weights-contents.ts";
import type { WeightsContents } from "../graph/manifest-contents.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Session } from "../session/session.ts";
import type { RawManifest } from "../../oci/manifest.ts";

/** What is pulled of a model: its weights, and the digest of what they are a part of. */
export interface ContentsToPull {
  contents: WeightsContents[];
  /** Of the one weights artifact, where there is one; of the root otherwise. */
  digest: Digest;
}

/**
 * Reads which weights a pull of a model takes. `path` is the directory of an image whose files are wanted. Throws
 * `not_found` for such a path without an image, and `file`, `integrity`, `not_found` for what can't be read.
 */
export async function contentsToPull(
  { reader, root, name }: { reader: ContentReader; root: RawManifest; name: string },
  path: string | undefined,
  { signal, emit }: Pick<Session, "signal" | "emit">,
): Promise<ContentsToPull> {
  const contents = await readAllContents(reader, root, signal, {
    forImage: path !== undefined,
    onPassed: (message) => emit({ type: "warning", message }),
  });
  requireImage(contents, path, name);
  const digest = (contents.length === 1 ? contents[0]?.raw : root)?.digest ?? root.digest;
  return { contents, digest };
}
