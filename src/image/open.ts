import { OcibundleError } from "../errors.ts";
import { isAbsolute, join } from "node:path";
import { referenceTarget, type Reference } from "../oci/reference.ts";
import { openLayout } from "../store/layout.ts";
import { openLayoutArchive } from "../store/archive.ts";
import { openDockerArchive } from "./docker-archive.ts";
import { plainArchive } from "./plain-archive.ts";
import { formatSource, parseSource } from "./source.ts";
import { type TempFolder, tempFolder } from "./temp-folder.ts";
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
      const reader = await openLayout(absolute(spec.path, options), name);
      const root = await reader.readRoot(spec.tag, options.signal);
      return { reader, root, name, close: async () => undefined };
    }
    case "oci-archive":
      return withTemp(name, options, async (temp) => {
        const { path, tag } = spec;
        const archive = await plainArchive(absolute(path, options), name, temp, options.signal);
        const reader = await openLayoutArchive(archive, name, options.signal);
        return { reader, root: await reader.readRoot(tag, options.signal) };
      });
    case "docker-archive":
      return withTemp(name, options, async (temp) => {
        const { path, reference } = spec;
        const archive = await plainArchive(absolute(path, options), name, temp, options.signal);
        return openDockerArchive(archive, reference, name, temp, options);
      });
    case "registry":
      return fromRegistry(spec.reference, name, options);
    case "anywhere":
      return fromRegistry(spec.image.reference, name, options);
    default:
      throw new OcibundleError("usage", `"${text}": not supported yet`);
  }
}

/** Opens an image that needs temporary files; they are gone when it can't be opened, or is closed. */
async function withTemp(
  name: string,
  { tempDir }: OpenImageOptions,
  open: (temp: TempFolder) => Promise<Pick<ImageSource, "reader" | "root">>,
): Promise<ImageSource> {
  const temp = tempFolder(tempDir);
  try {
    return { ...(await open(temp)), name, close: temp.remove };
  } catch (error) {
    await temp.remove();
    throw error;
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
