import { OcibundleError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Reference } from "../../oci/reference.ts";
import { type Archive, compressionOf, openArchive } from "../../store/archive/archive.ts";
import { entryPath } from "../../store/archive/path.ts";
import { fileChunks } from "../../store/file-chunks.ts";
import { type FilePlace, readDocument } from "../../store/layout/reader.ts";
import { type ConvertedImage, convertImage } from "../conversion/converted-image.ts";
import {
  checkConfigName,
  checkLayerCount,
  chooseDockerImage,
  configDiffIds,
  dockerManifestName,
  parseDockerManifest,
} from "../conversion/docker-manifest.ts";
import { foreignLayer, knownLayer, type Layer } from "../conversion/layer.ts";
import { fileSource, lookAtHead, measureLayer, writeLayer } from "../conversion/layer-content.ts";
import { layerProgress } from "../conversion/progress.ts";
import type { TempDirectory } from "../conversion/temp-directory.ts";
import type { OpenImageOptions } from "../conversion/types.ts";

/**
 * Opens an image of a docker archive: the file that `docker save`, `podman save` and skopeo write.
 *
 * Plain layers are compressed into `temp`, but for those that the target is known to have; compressed
 * ones are taken from the archive as they are. Throws `file`, `integrity` for broken archives,
 * `not_found` for a name that is not in it.
 */
export async function openDockerArchive(
  path: string,
  reference: Reference | undefined,
  name: string,
  temp: TempDirectory,
  options: OpenImageOptions,
): Promise<ConvertedImage> {
  const { signal, knownLayers, emit } = options;
  const archive = await openArchive(path, name, signal, emit);
  const manifest = await readEntry(archive, dockerManifestName, name);
  const image = chooseDockerImage(parseDockerManifest(manifest, name), reference, name);
  const config = await readEntry(archive, image.Config, name);
  checkConfigName(image.Config, config, name);
  const diffIds = configDiffIds(config, name);
  const files = image.Layers ?? [];
  checkLayerCount(files, diffIds, name);

  emit?.({ type: "phase", phase: "compress", items: files.length });
  const layers: Layer[] = [];
  for (const [at, file] of files.entries()) {
    const diffId = diffIds[at];
    if (diffId === undefined) continue;
    const earlier = layers.find((layer) => layer.diffId === diffId);
    const place = archive.locate(entryPath(file, name));
    layers.push(
      earlier ??
        foreignLayer(image, diffId, place !== undefined) ??
        (await knownLayer(knownLayers, diffId, signal)) ??
        (await readLayer(required(place, file, name), diffId, `${name}: layer "${file}"`)),
    );
  }
  return convertImage(name, config, diffIds, layers);

  async function readLayer(place: FilePlace, diffId: Digest, on: string): Promise<Layer> {
    const progress = layerProgress(emit, "compress", diffId, place.size);
    const chunks = fileChunks(place.path, place.offset, place.offset + place.size, signal);
    const opened = await lookAtHead(progress.through(chunks));
    const layer =
      compressionOf(opened.head) === undefined
        ? await writeLayer(opened, await temp.newFile(), on)
        : { ...(await measureLayer(opened, on)), source: fileSource(place.path, place.offset) };
    progress.done();
    // What does not have the diff ID is refused below, and not to be remembered by it.
    if (layer.diffId === diffId) knownLayers?.record(diffId, layer.descriptor);
    return layer;
  }
}

async function readEntry(archive: Archive, entry: string, name: string): Promise<Uint8Array> {
  const place = archive.locate(entryPath(entry, name));
  return readDocument(required(place, entry, name), `${name}: "${entry}"`);
}

function required(place: FilePlace | undefined, entry: string, name: string): FilePlace {
  if (place !== undefined) return place;
  const isManifest = entry === dockerManifestName;
  throw new OcibundleError(
    isManifest ? "file" : "integrity",
    isManifest
      ? `${name}: not a docker archive: no file "manifest.json"`
      : `${name}: manifest.json lists "${entry}", which is missing`,
  );
}
