import { sayMoreLayers } from "../graph/layer-limit.ts";
import type { KnownConfigs, KnownLayers } from "../../image/conversion/types.ts";
import { parsePlatform } from "../../oci/platform.ts";
import { machinePlatform } from "../session/machine-platform.ts";
import {
  type AssembledModel,
  assembleBundle,
  assembleStandalone,
  assembleWeights,
  type WeightsPart,
  weightsPartOf,
} from "../graph/assemble.ts";
import { chosenParts, chosenWeights } from "../lock/from-lock.ts";
import type { SplitChoice } from "../lock/cut-entries.ts";
import { readOptions } from "../lock/read-options.ts";
import { chooseImageFormat, type ModelFormat } from "../format/image-format.ts";
import { leftOutWarning, readModelImage } from "../graph/image-part.ts";
import { settingsOf } from "../session/settings-of.ts";
import { projectLayout } from "../format/project-file.ts";
import { summarize } from "../graph/summary.ts";
import { withMountFrom } from "../places/mount-sources.ts";
import { type LayoutName, layoutVariable, parseLayout } from "../format/layout-name.ts";
import { bundleLayout } from "../layout/layouts.ts";
import { filesOfModel } from "./model-files.ts";
import { partsLayout } from "../layout/parts.ts";
import { splitOriginals } from "../layout/split-originals.ts";
import { type StoreFiles, storeFiles } from "./store-files.ts";
import type { PartTarget } from "../weights/send-parts.ts";
import { isPartsManifest } from "../parts/parts-artifact.ts";
import type { TreeNumbers } from "../parts/tree.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import type { ContentReader } from "../../oci/content.ts";
import { parseIndexEntries } from "../../oci/index-entries.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { isIndexType } from "../../oci/media-types.ts";
import { weightsEntries } from "../format/model-index.ts";
import { annotated } from "../format/chosen-annotations.ts";
import { annotatedModel, chosenAnnotations, refuseForImage } from "./annotate.ts";
import { checkModelFlags } from "./check-flags.ts";
import type { ModelParts } from "./model-parts.ts";
import { filesFor, prepareLayout } from "./prepare-layout.ts";
import { withVolume } from "./with-volume.ts";
import type { Session } from "../session/session.ts";
import { imagePlace, modelPlace } from "../places/place.ts";
import type { Repository } from "../../registry/types.ts";
import { hasOnlyWeights, readWeights } from "../graph/find-weights.ts";

/** What is known of the place the model goes to. */
export interface TargetKnowledge {
  /** Of the registry; undefined for a layout. */
  host?: string;
  knownLayers?: KnownLayers;
  configs?: KnownConfigs;
  /** What `numbers` are of. */
  base?: string;
  /** By which numbers the weights in parts are split that it has now. Never throws. */
  numbers?: () => Promise<TreeNumbers | undefined>;
  /** Where parts are sent when they are encoded. */
  parts?: PartTarget;
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
  const plain =
    parts.weightsFrom !== undefined
      ? await weightsOfModel(session, parts, parts.weightsFrom, {
          layout: named,
          knowledge,
          stack,
        })
      : layout === "parts"
        ? await weightsInParts(session, parts, knowledge)
        : await chosenWeights(session, { ...parts, titles: layout === "bundle" });
  if (plain !== undefined && layout === "parts") {
    sayMoreLayers(session, plain.manifest, parts.mostParts);
  }
  const weights = plain && {
    ...plain,
    manifest: annotated(plain.manifest, annotations.weights),
  };
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

/** The layout by flag, environment, project file or the registry's configuration, in this order. */
export async function chosenLayout(
  { env, cwd, config }: Session,
  flag: string | undefined,
  host: string | undefined,
): Promise<LayoutName | undefined> {
  if (flag !== undefined) return parseLayout(flag);
  const variable = env[layoutVariable];
  if (variable) return parseLayout(variable, layoutVariable);
  const ofProject = await projectLayout(cwd);
  if (ofProject !== undefined) return ofProject;
  return host === undefined ? undefined : settingsOf(config, host).layout;
}

/** The weights of a lock in parts, by the numbers of what the target has now. */
async function weightsInParts(
  session: Session,
  parts: ModelParts,
  { numbers: numbersOf, base, parts: target }: TargetKnowledge,
): Promise<WeightsPart | undefined> {
  const numbers = await numbersOf?.();
  const { mostParts: layers, compression } = parts;
  const files = await chosenParts(session, parts, { numbers, layers, compression, target });
  const split = files?.find((file) => file.parts !== undefined)?.parts?.split;
  const isOther = split?.least !== numbers?.least || split?.most !== numbers?.most;
  if (split !== undefined && numbers !== undefined && isOther) {
    const message = `the files are split with different parameters than ${base ?? "before"}: most of their parts are new`;
    session.emit({ type: "warning", message });
  }
  return files === undefined ? undefined : partsLayout(files);
}

/** The bundle's weights artifact as it is; weights in another format become one, their blobs as they are. */
async function anyWeights(
  reader: ContentReader,
  root: RawManifest,
  layout: LayoutName | undefined,
  session: Session,
  {
    split,
    stack,
    store,
  }: { split: SplitChoice; stack: AsyncDisposableStack; store: StoreFiles | undefined },
): Promise<WeightsPart> {
  let passed: string | undefined;
  const manifest = isIndexType(root.mediaType)
    ? weightsEntries(parseIndexEntries(root, reader.name).index).length > 0
      ? await readWeights(reader, root, session.signal, (text) => (passed = text))
      : undefined
    : hasOnlyWeights(root, reader.name)
      ? root
      : undefined;
  const isWanted =
    manifest !== undefined &&
    store === undefined &&
    (layout === undefined ||
      isPartsManifest(membersOf(manifest, reader.name)) === (layout === "parts"));
  if (isWanted) {
    if (passed !== undefined) session.emit({ type: "warning", message: passed });
    return weightsPartOf(reader, manifest);
  }
  const files = await filesOfModel(session, { reader, root }, { stack });
  if (layout === "parts") {
    const { cutRecords } = readOptions(session);
    const parts = await splitOriginals(files, { ...split, ...session, cutRecords });
    return partsLayout(store === undefined ? parts : await store(parts));
  }
  const { root: plain, blobs } = bundleLayout(files);
  return { manifest: plain, blobs };
}

/**
 * The weights artifact that another model has, byte for byte; its blobs come from there, or are mounted
 * where both are on one registry. Throws `not_found` when that model has no weights.
 */
async function weightsOfModel(
  session: Session,
  parts: ModelParts,
  from: string,
  {
    layout,
    knowledge,
    stack,
  }: { layout: LayoutName | undefined; knowledge: TargetKnowledge; stack: AsyncDisposableStack },
): Promise<WeightsPart> {
  const { open, repository } = await modelPlace(session, from);
  const { reader, root, close } = await open();
  stack.defer(close);
  const numbers = layout === "parts" ? await knowledge.numbers?.() : undefined;
  const split = { numbers, layers: parts.mostParts };
  const store = storeFiles(session, parts.compression, knowledge.parts);
  const part = await anyWeights(reader, root, layout, session, { split, stack, store });
  if (repository === undefined || repository.registry.host !== knowledge.host) return part;
  return { ...part, blobs: withMountFrom(part.blobs, () => [repository.name]) };
}
