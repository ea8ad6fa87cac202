import { parsePlatform } from "../../oci/platform.ts";
import { machinePlatform } from "../session/machine-platform.ts";
import {
  type AssembledModel,
  assembleBundle,
  assembleStandalone,
  assembleWeights,
} from "../graph/assemble.ts";
import { chooseImageFormat, type ModelFormat } from "../format/image-format.ts";
import { leftOutWarning, readModelImage } from "../graph/image-part.ts";
import { summarize } from "../graph/summary.ts";
import { withMountFrom } from "../places/mount-sources.ts";
import { annotated } from "../format/chosen-annotations.ts";
import { annotatedModel, chosenAnnotations, refuseForImage } from "./annotate.ts";
import { checkModelFlags } from "./check-flags.ts";
import type { ModelParts } from "./model-parts.ts";
import { filesFor, prepareLayout } from "./prepare-layout.ts";
import { withVolume } from "./with-volume.ts";
import type { Session } from "../session/session.ts";
import { imagePlace } from "../places/place.ts";
import type { Repository } from "../../registry/types.ts";
import { prepareWeights } from "./prepare-weights.ts";
import type { TargetKnowledge } from "./target-knowledge.ts";
import { chosenLayout } from "./chosen-layout.ts";

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
  const platform =
    parts.platform === undefined ? undefined : parsePlatform(parts.platform, machinePlatform());
  const annotations = await chosenAnnotations(session, parts);
  await using stack = new AsyncDisposableStack();
  const named = await chosenLayout(session, parts.layout, knowledge.host);
  const layout = named ?? "bundle";
  await checkModelFlags(session, parts, layout);
  if (layout !== "bundle" && layout !== "bundle-1" && layout !== "parts") {
    const { host } = knowledge;
    const laidOut = await prepareLayout(session, parts, layout, { host, stack, annotations });
    const kept = stack.move();
    return { format: "bundle", model: laidOut, [Symbol.asyncDispose]: () => kept.disposeAsync() };
  }
  const plain = await prepareWeights(session, parts, named, { knowledge, stack });
  const weights = plain && { ...plain, manifest: annotated(plain.manifest, annotations.weights) };
  const format = chooseImageFormat({
    flag: parts.format,
    env: session.env,
    hasImage: parts.image !== undefined,
    hasWeights: weights !== undefined,
    weightsGiven:
      parts.weights.length > 0 || parts.file.length > 0 || parts.weightsFrom !== undefined,
  });
  if (parts.image !== undefined && format !== "bundle") refuseForImage(annotations);
  const alone = await assemble(format);
  const whole =
    parts.volume === true
      ? await withVolume(session, alone, {
          ...(await filesFor(session, parts, stack)),
          root: parts.root,
        })
      : alone;
  const model = annotatedModel(whole, annotations.root);
  // A fault in what it says of itself is found before anything is written.
  summarize(model.root, model.children, parts.weightsFrom ?? parts.image ?? "the model");
  const owned = stack.move();
  return { format, model, [Symbol.asyncDispose]: () => owned.disposeAsync() };

  /** An image that was read from the target's own registry is mounted from its repository. */
  function mountable(
    assembled: AssembledModel,
    from: Repository | undefined,
    readFrom: string,
  ): AssembledModel {
    if (from?.fullName !== readFrom || from.registry.host !== knowledge.host) return assembled;
    const blobs = withMountFrom(assembled.blobs, ({ group }) =>
      group === "weights" ? [] : [from.name],
    );
    return { ...assembled, blobs };
  }

  async function assemble(chosen: ModelFormat): Promise<AssembledModel> {
    if (parts.image === undefined) {
      if (weights === undefined) throw new TypeError(`format "${chosen}" needs weights`);
      return assembleWeights(weights);
    }
    const { knownLayers, configs } = knowledge;
    const options = { platform, knownLayers, configs };
    const place = imagePlace(session, parts.image);
    const { reader, root, close } = await place.open(options);
    stack.defer(close);
    const image = await readModelImage(reader, root, platform, session.signal);
    const message = leftOutWarning(image);
    if (message !== undefined) session.emit({ type: "warning", message });
    const assembled =
      chosen === "bundle" && weights !== undefined
        ? await assembleBundle(reader, image, [weights], session.signal)
        : await assembleStandalone(reader, image, session.signal);
    return mountable(assembled, place.repository, reader.name);
  }
}
