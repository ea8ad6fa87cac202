import { OcibundleError } from "../errors.ts";
import { isAbsolute, join } from "node:path";
import { referenceTarget, type Reference } from "../oci/reference.ts";
import { openLayout } from "../store/layout.ts";
import { formatSource, parseSource } from "./source.ts";
import type { ImageSource, OpenImageOptions } from "./types.ts";

/**
 * Opens an image where it is: engine, docker archive, layout, registry (docs/images.md).
 *
 * Throws `usage` for a source that can't be understood, `not_found` for one that has no such image,
 * `file` and `integrity` for broken ones.
 */
export async function openImage(text: string, options: OpenImageOptions): Promise<ImageSource> {
  const spec = parseSource(text);
  const name = formatSource(spec);
  options.signal.throwIfAborted();
  switch (spec.kind) {
    case "oci": {
      const reader = await openLayout(absolute(spec.path, options));
      const root = await reader.readRoot(spec.tag, options.signal);
      return { reader, root, name, close: async () => undefined };
    }
    case "registry":
      return fromRegistry(spec.reference, name, options);
    case "anywhere":
      return fromRegistry(spec.image.reference, name, options);
    default:
      throw new OcibundleError("usage", `"${text}": not supported yet`);
  }
}

async function fromRegistry(
  reference: Reference,
  name: string,
  options: OpenImageOptions,
): Promise<ImageSource> {
  const reader = options.registryReader(reference);
  const root = await reader.readManifest(referenceTarget(reference), options.signal);
  return { reader, root, name, close: async () => undefined };
}

const absolute = (path: string, { cwd }: OpenImageOptions): string =>
  isAbsolute(path) ? path : join(cwd, path);
