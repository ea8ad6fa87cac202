import { parallel } from "../../flow/parallel.ts";
import { OcibundleError } from "../../errors.ts";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { entryPath } from "../../store/archive/path.ts";
import { type ConvertedImage, convertImage } from "../conversion/converted-image.ts";
import {
  checkConfigName,
  checkLayerCount,
  chooseDockerImage,
  configDiffIds,
  type DockerImage,
  dockerManifestName,
  parseDockerManifest,
} from "../conversion/docker-manifest.ts";
import { foreignLayer, knownLayer, type Layer } from "../conversion/layer.ts";
import type { TempDirectory } from "../conversion/temp-directory.ts";
import type { OpenImageOptions } from "../conversion/types.ts";
import type { EngineClient } from "./client.ts";
import { type TakenExport, takeExport } from "./export.ts";
import type { InspectedImage } from "./inspect.ts";

/** Requests to the target at once, for the layers it may have. */
const lookups = 8;

/**
 * Opens an image of a Docker engine, or of one that speaks as it does.
 *
 * An image whose layers the target has all, and whose config was kept, is not exported. Otherwise its
 * export is taken as it arrives: see `takeExport`. Throws `not_found`, `denied`, `network` as the engine
 * answers, `file` and `integrity` for an export that is no image or another.
 */
export async function openEngineImage(
  client: EngineClient,
  inspected: InspectedImage,
  name: string,
  temp: TempDirectory,
  options: OpenImageOptions,
): Promise<ConvertedImage> {
  const { signal, configs, knownLayers, emit } = options;
  const diffIds = inspected.RootFS?.Layers ?? [];
  const known = await findKnown(diffIds, options);

  const config = await configs?.find(inspected.Id);
  if (config !== undefined && isOf(config, diffIds, name)) {
    const layers = diffIds
      .map((diffId) => known.get(diffId))
      .filter((layer) => layer !== undefined);
    if (layers.length === diffIds.length) {
      emit?.({ type: "detail", message: `${name}: up to date, not exported` });
      return convertImage(name, config, diffIds, layers);
    }
  }

  emit?.({ type: "phase", phase: "export", items: diffIds.length });
  const path = `/images/${inspected.Id}/get${inspected.query}`;
  const answer = await client.get(path, signal);
  const taken = await takeExport(answer.body, {
    name,
    diffIds: new Set(diffIds),
    known,
    temp,
    signal,
    emit,
  });
  const converted = await convertExport(taken, diffIds, name);
  await configs?.record(digestOf(converted.config), converted.config);
  for (const { diffId, descriptor, source } of converted.layers) {
    if (source !== undefined) knownLayers?.record(diffId, descriptor);
  }
  return convertImage(name, converted.config, diffIds, converted.layers);
}

async function findKnown(
  diffIds: readonly Digest[],
  { knownLayers, signal }: OpenImageOptions,
): Promise<Map<Digest, Layer>> {
  const layers = await parallel(new Set(diffIds), lookups, signal, (diffId, stop) =>
    knownLayer(knownLayers, diffId, stop),
  );
  return new Map(
    layers.filter((layer) => layer !== undefined).map((layer) => [layer.diffId, layer]),
  );
}

const isOf = (config: Uint8Array, diffIds: readonly Digest[], name: string): boolean => {
  const listed = configDiffIds(config, name);
  return listed.length === diffIds.length && listed.every((diffId, at) => diffId === diffIds[at]);
};

async function convertExport(taken: TakenExport, diffIds: readonly Digest[], name: string) {
  const document = (file: string): Uint8Array => {
    const content = taken.find(entryPath(file, name));
    if (content?.kind === "document") return content.bytes;
    throw new OcibundleError("integrity", `${name}: the export has no document "${file}"`);
  };
  const images = parseDockerManifest(document(dockerManifestName), name);
  const candidates = images.filter(({ Config }) => isOf(document(Config), diffIds, name));
  if (images.length > 0 && candidates.length === 0) {
    throw new OcibundleError("integrity", `${name}: the engine exported a different image`);
  }
  const [first, ...others] = candidates;
  const image =
    first !== undefined && others.every(({ Config }) => Config === first.Config)
      ? first
      : chooseDockerImage(candidates, undefined, name);
  const config = document(image.Config);
  checkConfigName(image.Config, config, name);
  checkLayerCount(image.Layers ?? [], diffIds, name);
  return { config, layers: await Promise.all(layersOf(taken, image, diffIds, name)) };
}

const layersOf = (
  taken: TakenExport,
  image: DockerImage,
  diffIds: readonly Digest[],
  name: string,
): Promise<Layer>[] =>
  diffIds.map(async (diffId, at) => {
    const file = image.Layers?.[at] ?? "";
    const content = taken.find(entryPath(file, name));
    if (content?.kind === "layer") return content.layer;
    const foreign = foreignLayer(image, diffId, content !== undefined);
    if (foreign !== undefined) return foreign;
    throw new OcibundleError("integrity", `${name}: the export lacks the layer "${file}"`);
  });
