import { OcibundleError } from "../../errors.ts";
import { localPathHint } from "../../image/source/local-path.ts";
import { openImage } from "../../image/open.ts";
import { parseSource } from "../../image/source/source.ts";
import type { ImageSource, OpenImageOptions } from "../../image/conversion/types.ts";
import type { Digest } from "../../oci/digest.ts";
import { formatReference, parseReference, pinned, type Reference } from "../../oci/reference.ts";
import type { Repository } from "../../registry/types.ts";
import { cacheFailure, isUnusable } from "../../store/cache/folder.ts";
import type { Session } from "../session/session.ts";

/** What a source is opened with besides what every source of a session is. */
type MoreOptions = Pick<OpenImageOptions, "platform" | "knownLayers" | "configs">;

/** Opens an image where it is, as `openImage` does. Throws `file` where the cache has no room for it. */
export async function openSource(
  session: Session,
  text: string,
  more: MoreOptions = {},
): Promise<ImageSource> {
  const { signal, env, cwd, tempDir, emit, cache } = session;
  const registryReader = (reference: Reference) => session.reader(reference);
  try {
    return await openImage(text, { ...more, signal, env, cwd, tempDir, emit, registryReader });
  } catch (error) {
    // Layers are made in the cache folder: who can't write there is told where that can be changed.
    const isTemporary = error instanceof OcibundleError && error.message.includes(tempDir);
    throw isTemporary && isUnusable(error) ? cacheFailure(cache.root, error.cause) : error;
  }
}

/**
 * Opens a whole model where it is. Unlike an image's source, a bare name is always a registry's: a
 * model of image and weights has no place in an engine. The caller closes what it gets.
 */
export async function openModel(session: Session, text: string): Promise<ImageSource> {
  if (parseSource(text).kind !== "anywhere") return openSource(session, text);
  const name = formatReference(parseReference(text));
  try {
    return { ...(await openSource(session, `docker://${name}`)), name };
  } catch (error) {
    session.signal.throwIfAborted();
    if (!(error instanceof OcibundleError)) throw error;
    const hint = await localPathHint(text, session.cwd);
    if (hint === undefined) throw error;
    throw new OcibundleError(error.code, error.message, { hint, cause: error });
  }
}

/** What was read of a source, named by its digest for good; null for a layout or an archive. */
export function pinnedSource(text: string, digest: Digest): string | null {
  const spec = parseSource(text);
  if (spec.kind === "registry") return pinned(spec.reference, digest);
  return spec.kind === "anywhere" ? pinned(spec.image.reference, digest) : null;
}

/** The repository that a source is, when it is one of a registry: its mirrors are asked first. */
export function sourceRepository(session: Session, text: string): Repository | undefined {
  const spec = parseSource(text);
  if (spec.kind === "registry") return session.mirrored(spec.reference);
  return spec.kind === "anywhere" ? session.mirrored(spec.image.reference) : undefined;
}
