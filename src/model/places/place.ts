import { OcibundleError, amended } from "../../errors.ts";
import { openImage } from "../../image/open.ts";
import type { ImageSource, OpenImageOptions } from "../../image/conversion/types.ts";
import { localPathHint } from "../../image/source/local-path.ts";
import { parseImageSource, type SourceSpec, referenceOf } from "../../image/source/source.ts";
import type { Digest } from "../../oci/digest.ts";
import { formatReference, pinned, type Reference } from "../../oci/reference.ts";
import type { Repository } from "../../registry/types.ts";
import { cacheFailure, isUnusable } from "../../store/cache/directory.ts";
import type { Session } from "../session/session.ts";
import { holdsNoBytes, readLock } from "./lock-source.ts";
import { fileFault, isBelow, failedPath } from "../../runtime/file-faults.ts";

/** What a source is opened with besides what every source of a session is. */
type OpenOptions = Pick<OpenImageOptions, "platform" | "knownLayers" | "configs">;

/**
 * Where an image or a whole model is read from. What a user wrote is parsed once, when a job begins: from
 * there on jobs pass the place on, and ask it.
 */
export interface Place {
  kind: "model";
  /** As it was written. */
  text: string;
  /**
   * Opens it; the caller closes what it gets. Throws `not_found` where there is none, `file` and
   * `integrity` where it is broken, `system` where the cache has no room for it.
   */
  open(options?: OpenOptions): Promise<ImageSource>;
  /** Set when it is of a registry. */
  reference: Reference | undefined;
  /** The repository that it is, when it is one of a registry: its mirrors are asked first. */
  repository: Repository | undefined;
  /** The tag that it was named by: of a registry also the default one; undefined for a digest. */
  tag: string | undefined;
  /** Names content of it by digest, for good; null for a layout or an archive. */
  pinned(digest: Digest): string | null;
}

/** A lock file: it says which files make a model's weights, and holds none of their bytes. */
export interface LockPlace {
  kind: "lock";
  text: string;
  bytes: Uint8Array;
}

/** Where an image is: a bare name is an image of the engine, else of its registry. Throws `usage`. */
export function imagePlace(session: Session, text: string): Place {
  return placeOf(session, text, parseImageSource(text));
}

/**
 * A model or a lock. Unlike an image, a bare name is always a registry's: a model of image and weights
 * has no place in an engine. Throws `usage`, and `file` for a path to something else.
 */
export async function parsePlace(session: Session, text: string): Promise<Place | LockPlace> {
  const bytes = await readLock(session.cwd, text);
  if (bytes !== undefined) return { kind: "lock", text, bytes };
  const spec = parseImageSource(text);
  if (spec.kind !== "anywhere") return placeOf(session, text, spec);
  const { reference } = spec.image;
  const place = placeOf(session, text, { kind: "registry", reference });
  return {
    ...place,
    async open(options) {
      try {
        return { ...(await place.open(options)), name: formatReference(reference) };
      } catch (error) {
        session.signal.throwIfAborted();
        if (!(error instanceof OcibundleError)) throw error;
        const hint = await localPathHint(text, session.cwd);
        if (hint === undefined) throw error;
        throw amended(error, { hint });
      }
    },
  };
}

/** As `parsePlace`, where the bytes of a model are wanted. Throws `usage` for a lock, too. */
export async function modelPlace(session: Session, text: string): Promise<Place> {
  const place = await parsePlace(session, text);
  if (place.kind === "lock") throw holdsNoBytes(text);
  return place;
}

function placeOf(session: Session, text: string, spec: SourceSpec): Place {
  const reference = referenceOf(spec);
  return {
    kind: "model",
    text,
    open: (options = {}) => openSource(session, spec, options),
    reference,
    repository: reference === undefined ? undefined : session.mirrored(reference),
    tag: reference?.tag ?? ("tag" in spec ? spec.tag : undefined),
    pinned: (digest) => (reference === undefined ? null : pinned(reference, digest)),
  };
}

async function openSource(
  session: Session,
  spec: SourceSpec,
  options: OpenOptions,
): Promise<ImageSource> {
  const { signal, env, cwd, tempDir, emit, cache } = session;
  try {
    return await openImage(spec, {
      ...options,
      signal,
      env,
      cwd,
      tempDir,
      emit,
      registryReader: (of) => session.reader(of),
    });
  } catch (error) {
    // Layers are made in the cache directory: who can't write there is told where that can be changed.
    const isTemporary = isBelow(tempDir, failedPath(error));
    throw isTemporary && isUnusable(error) ? cacheFailure(cache.root, fileFault(error)) : error;
  }
}
