import { OcibundleError } from "../errors.ts";
import { isAbsolute, join } from "node:path";
import { formatReference, type Reference, referenceTarget } from "../oci/reference.ts";
import { openLayout } from "../store/layout/layout.ts";
import { openLayoutArchive } from "../store/archive/archive.ts";
import type { LayoutReader } from "../store/layout/reader.ts";
import { openDockerArchive } from "./archive/docker-archive.ts";
import { type EngineClient, engineClient } from "./engine/client.ts";
import { findEndpoint } from "./engine/endpoint.ts";
import { openEngineImage } from "./engine/engine-image.ts";
import { type InspectedImage, inspectImage } from "./engine/inspect.ts";
import { localPathHint } from "./source/local-path.ts";
import { plainArchive } from "./archive/plain-archive.ts";
import {
  type EngineImage,
  type EngineName,
  formatSource,
  type SourceSpec,
} from "./source/source.ts";
import { systemTemp, type TempDirectory, tempDirectory } from "./conversion/temp-directory.ts";
import type { ImageSource, OpenImageOptions } from "./conversion/types.ts";

/**
 * Opens an image where it is: engine, docker archive, layout, registry (docs/images.md).
 *
 * Throws `not_found` for one that has no such image,
 * `file` and `integrity` for broken ones.
 */
export async function openImage(spec: SourceSpec, options: OpenImageOptions): Promise<ImageSource> {
  const name = formatSource(spec);
  options.signal.throwIfAborted();
  switch (spec.kind) {
    case "oci": {
      const warn = (message: string) => options.emit?.({ type: "warning", message });
      const reader = await openLayout(absolute(spec.path, options), name, warn);
      return {
        ...(await fromLayout(reader, spec.tag, options)),
        name,
        close: async () => undefined,
      };
    }
    case "oci-archive":
      return withTemp(name, options, async (temp) => {
        const { path, tag } = spec;
        const archive = await plainArchive(absolute(path, options), name, temp, options.signal);
        const reader = await openLayoutArchive(archive, name, options.signal, options.emit);
        return fromLayout(reader, tag, options);
      });
    case "docker-archive":
      return withTemp(name, options, async (temp) => {
        const { path, reference } = spec;
        const archive = await plainArchive(absolute(path, options), name, temp, options.signal);
        return openDockerArchive(archive, reference, name, temp, options);
      });
    case "registry":
      return fromRegistry(spec.reference, name, options);
    case "engine":
      return fromEngine(spec.image, name, options);
    case "anywhere":
      return fromEngineOrRegistry(spec.image, options);
  }
}

async function fromLayout(
  reader: LayoutReader,
  tag: string | undefined,
  { signal }: OpenImageOptions,
): Promise<Pick<ImageSource, "reader" | "root" | "tag">> {
  const root = await reader.readRoot(tag, signal);
  // What chose it may be its whole name, which is no tag that it could get elsewhere.
  return { reader, root, tag: (await reader.tagOf(root.digest, signal)) ?? tag };
}

async function fromEngine(
  image: EngineImage,
  name: string,
  options: OpenImageOptions,
): Promise<ImageSource> {
  const client = engineClient(
    await findEndpoint(options.env, (message) => options.emit?.({ type: "warning", message })),
  );
  const inspected = await inspectImage(client, image, options.platform, options.signal);
  return withTemp(name, options, (temp) => openEngineImage(client, inspected, name, temp, options));
}

/**
 * A bare name is that of an image of the local engine where it has one, else of its registry. What
 * kept the engine from giving it is said only when the registry does not have it either.
 */
async function fromEngineOrRegistry(
  image: EngineName,
  options: OpenImageOptions,
): Promise<ImageSource> {
  const { signal, emit, platform } = options;
  let client: EngineClient;
  let inspected: InspectedImage;
  try {
    client = engineClient(
      await findEndpoint(options.env, (message) => options.emit?.({ type: "warning", message })),
    );
    inspected = await inspectImage(client, image, platform, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof OcibundleError)) throw error;
    emit?.({ type: "detail", message: `${error.message}; asking the registry` });
    const name = `docker://${formatReference(image.reference)}`;
    return fromRegistry(image.reference, name, options).catch(async (failure: unknown) => {
      throw lacksBoth(image, error, failure, await localPathHint(image.name, options.cwd));
    });
  }
  const name = `docker-daemon:${image.name}`;
  return withTemp(name, options, (temp) => openEngineImage(client, inspected, name, temp, options));
}

function lacksBoth(
  image: EngineName,
  engine: OcibundleError,
  registry: unknown,
  local: string | undefined,
): unknown {
  if (!(registry instanceof OcibundleError)) return registry;
  const { code, message, hint } = registry;
  const both = `image "${image.name}": ${engine.message}; and on its registry: ${message}`;
  return new OcibundleError(code, both, { hint: local ?? engine.hint ?? hint, cause: registry });
}

/** Opens an image that needs temporary files; they are gone when it can't be opened, or is closed. */
async function withTemp(
  name: string,
  { tempDir, emit }: OpenImageOptions,
  open: (temp: TempDirectory) => Promise<Pick<ImageSource, "reader" | "root" | "tag">>,
): Promise<ImageSource> {
  const warn = (message: string): void => emit?.({ type: "warning", message });
  const temp = tempDirectory(tempDir, { parent: systemTemp(), warn });
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
  return { reader, root, name, tag: reference.tag, close: async () => undefined };
}

/** `-` is standard input, as for tar; a file of that name is `./-`. */
const absolute = (path: string, { cwd }: OpenImageOptions): string => {
  if (path === "-") return "/dev/stdin";
  return isAbsolute(path) ? path : join(cwd, path);
};
