import { openImage } from "../image/open.ts";
import { parseSource } from "../image/source.ts";
import type { ImageSource, OpenImageOptions } from "../image/types.ts";
import { formatReference, parseReference } from "../oci/reference.ts";
import type { Repository } from "../registry/types.ts";
import type { Session } from "./session.ts";

/** What every source of an image is opened with in this session. */
export const imageOptions = (session: Session): OpenImageOptions => ({
  signal: session.signal,
  env: session.env,
  cwd: session.cwd,
  tempDir: session.tempDir,
  registryReader: (reference) => session.reader(reference),
  emit: session.emit,
});

/**
 * Opens a whole model where it is. Unlike an image's source, a bare name is always a registry's: a
 * model of image and weights has no place in an engine. The caller closes what it gets.
 */
export async function openModel(session: Session, text: string): Promise<ImageSource> {
  if (parseSource(text).kind !== "anywhere") return openImage(text, imageOptions(session));
  const name = formatReference(parseReference(text));
  return { ...(await openImage(`docker://${name}`, imageOptions(session))), name };
}

/** The repository that a source is, when it is one of a registry. */
export function sourceRepository(session: Session, text: string): Repository | undefined {
  const spec = parseSource(text);
  if (spec.kind === "registry") return session.repository(spec.reference);
  return spec.kind === "anywhere" ? session.repository(spec.image.reference) : undefined;
}
