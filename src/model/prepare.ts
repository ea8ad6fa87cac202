import { OcibundleError } from "../errors.ts";
import { openImage } from "../image/open.ts";
import type { ImageSource, KnownConfigs, KnownLayers } from "../image/types.ts";
import type { BlobToMove } from "../oci/content.ts";
import { parsePlatform } from "../oci/platform.ts";
import {
  type AssembledModel,
  assembleBundle,
  assembleStandalone,
  assembleWeights,
  type WeightsPart,
} from "./assemble.ts";
import { chosenWeights } from "./chosen-weights.ts";
import { chooseImageFormat, type ModelFormat } from "./image-format.ts";
import { readModelImage } from "./model-image.ts";
import type { Session } from "./session.ts";
import { imageOptions } from "./source.ts";

/** Which image and weights make the model: what `build` and `push` are given. */
export interface ModelParts {
  /** A source as in docs/images.md. */
  image: string | undefined;
  /** `os/architecture[/variant]`. */
  platform: string | undefined;
  /** Folders that hold the lock's files. */
  weights: readonly string[];
  /** `NAME=PATH` for single files. */
  file: readonly string[];
  lock: string | undefined;
  format: string | undefined;
}

/** What is known of the place the model goes to. */
export interface TargetKnowledge {
  knownLayers?: KnownLayers;
  configs?: KnownConfigs;
}

/** A model that can be published; closing it removes what was made for it. */
export interface PreparedModel extends AsyncDisposable {
  model: AssembledModel;
  format: ModelFormat;
}

/**
 * Reads the lock, opens the image and puts both together. Weight files and layers are only described:
 * they are opened, compressed or fetched when the target turns out to lack them.
 */
export async function prepareModel(
  session: Session,
  parts: ModelParts,
  knowledge: TargetKnowledge,
): Promise<PreparedModel> {
  const platform = parts.platform === undefined ? undefined : parsePlatform(parts.platform);
  const weights = await chosenWeights(session, parts);
  const format = chooseImageFormat({
    flag: parts.format,
    env: session.env,
    hasImage: parts.image !== undefined,
    hasWeights: weights !== undefined,
    weightsGiven: parts.weights.length > 0 || parts.file.length > 0,
  });
  if (parts.image === undefined) {
    if (platform !== undefined) {
      throw new OcibundleError(
        "usage",
        "--platform chooses among an image's, and there is no image",
        {
          hint: "add --image, or drop --platform",
        },
      );
    }
    if (weights === undefined) throw new TypeError(`no weights for the format "${format}"`);
    return {
      format,
      model: assembleWeights(weights),
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  const source = await openImage(parts.image, { ...imageOptions(session), ...knowledge, platform });
  try {
    const model = await assembleWith(source, format === "bundle" ? weights : undefined);
    return { format, model, [Symbol.asyncDispose]: () => source.close() };
  } catch (error) {
    await source.close();
    throw error;
  }

  async function assembleWith(
    { reader, root }: ImageSource,
    withWeights: WeightsPart | undefined,
  ): Promise<AssembledModel> {
    const image = await readModelImage(reader, root, platform, session.signal);
    return withWeights === undefined
      ? assembleStandalone(reader, image, session.signal)
      : assembleBundle(reader, image, withWeights, session.signal);
  }
}

/** Adds where each blob could be mounted from. */
export const withMountFrom = (
  blobs: readonly BlobToMove[],
  repositoriesOf: (blob: BlobToMove) => readonly string[],
): BlobToMove[] =>
  blobs.map((blob) => ({
    ...blob,
    mountFrom: [...new Set([...(blob.mountFrom ?? []), ...repositoriesOf(blob)])],
  }));
