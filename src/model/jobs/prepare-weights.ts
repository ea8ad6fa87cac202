import { type WeightsPart, weightsPartOf } from "../graph/assemble.ts";
import { sayMoreLayers } from "../graph/layer-limit.ts";
import { chosenParts, chosenWeights } from "../lock/from-lock.ts";
import type { SplitChoice } from "../lock/cut-entries.ts";
import { readOptions } from "../lock/read-options.ts";
import { withMountFrom } from "../places/mount-sources.ts";
import type { LayoutName } from "../format/layout-name.ts";
import { bundleLayout } from "../layout/layouts.ts";
import { filesOfModel } from "./model-files.ts";
import { partsLayout } from "../layout/parts.ts";
import { splitOriginals } from "../layout/split-originals.ts";
import { type StoreFiles, storeFiles } from "./store-files.ts";
import { isPartsManifest } from "../parts/parts-artifact.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import type { ContentReader } from "../../oci/content.ts";
import { parseIndexEntries } from "../../oci/index-entries.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { isIndexType } from "../../oci/media-types.ts";
import { weightsEntries } from "../format/model-index.ts";
import type { ModelParts } from "./model-parts.ts";
import type { Session } from "../session/session.ts";
import { modelPlace } from "../places/place.ts";
import { hasOnlyWeights, readWeights } from "../graph/find-weights.ts";
import type { TargetKnowledge } from "./target-knowledge.ts";

interface WeightsContext {
  knowledge: TargetKnowledge;
  /** Closes sources that were opened. */
  stack: AsyncDisposableStack;
}

/**
 * The weights artifact in one of the bundle's layouts, of another model or of a lock; undefined where there are no
 * weights. Without a layout, that of another model is kept, and a lock's is the bundle's.
 */
export async function prepareWeights(
  session: Session,
  parts: ModelParts,
  layout: LayoutName | undefined,
  { knowledge, stack }: WeightsContext,
): Promise<WeightsPart | undefined> {
  const weights =
    parts.weightsFrom !== undefined
      ? await weightsOfModel(session, parts, parts.weightsFrom, { layout, knowledge, stack })
      : layout === "parts"
        ? await weightsInParts(session, parts, knowledge)
        : await chosenWeights(session, { ...parts, titles: layout !== "bundle-1" });
  if (weights !== undefined && layout === "parts") {
    sayMoreLayers(session, weights.manifest, parts.mostParts);
  }
  return weights;
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
  { layout, knowledge, stack }: WeightsContext & { layout: LayoutName | undefined },
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
