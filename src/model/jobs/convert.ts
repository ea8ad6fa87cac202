import type { ImageSource } from "../../image/conversion/types.ts";
import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import { parseIndexEntries } from "../../oci/index-entries.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { isIndexType } from "../../oci/media-types.ts";
import { skippedAnnotations } from "../format/chosen-annotations.ts";
import { holdsImages, parseLayout } from "../format/layout-name.ts";
import { entryType } from "../format/model-index.ts";
import { assembleBundle } from "../graph/assemble.ts";
import { type ContentGraph, readGraph } from "../graph/content-graph.ts";
import { readChild } from "../graph/read-child.ts";
import { leftOutWarning, readModelImage, standalone } from "../graph/image-part.ts";
import { sayMoreLayers } from "../graph/layer-limit.ts";
import { numbersOfTag } from "../graph/split-of-tag.ts";
import { readAllContents } from "../graph/weights-contents.ts";
import { type LaidOut, layOut } from "../layout/layouts.ts";
import { readOptions } from "../lock/read-options.ts";
import { cogWithImage } from "./prepare-layout.ts";
import { filesOfModel } from "./model-files.ts";
import type { parseTarget } from "../places/target.ts";
import type { Session } from "../session/session.ts";
import type { PartTarget } from "../weights/send-parts.ts";
import type { PartsCompression } from "../weights/store-parts.ts";
import { storeFiles } from "./store-files.ts";

/** What `copy --layout` is asked for. */
export interface ConvertRequest {
  /** What the weights are written as at the target; `bundle` when undefined. */
  layout?: string | undefined;
  /** The directory of an image whose files are the weights. */
  path?: string | undefined;
  /** The most layers of weights in parts. */
  mostParts?: number | undefined;
  /** How parts are stored; as they are when undefined. */
  compression?: PartsCompression | undefined;
  /** The directory of the files in the layout `image`. */
  root?: string | undefined;
  /** Refused with `usage` where it is given. */
  platform: string | undefined;
  /** Refused with `usage` where it is true: a converted model has a new digest, to which nothing refers. */
  referrers: boolean;
}

/** A graph, and the tags that some of its children get. */
export type Converted = ContentGraph & { childTags?: ReadonlyMap<Digest, string> };

/**
 * The weights of a model in another layout; blobs that it can use as they are keep their digests, so that
 * one registry mounts them. An image beside them is left out, which is said. Throws `usage`.
 */
export async function converted(
  session: Session,
  request: ConvertRequest,
  { reader, root }: Pick<ImageSource, "reader" | "root">,
  {
    destination,
    stack,
    parts,
  }: {
    destination: ReturnType<typeof parseTarget>;
    stack: AsyncDisposableStack;
    /** Where parts are sent when they are encoded. */
    parts: PartTarget;
  },
): Promise<Converted> {
  const { layout = "bundle", platform, referrers, mostParts: layers, path, root: below } = request;
  const { compression } = request;
  const { cache, signal, emit } = session;
  const other = platform === undefined ? (referrers ? "--referrers" : undefined) : "--platform";
  if (other !== undefined) {
    throw new OcibundleError("usage", `--layout and ${other} cannot be used together`, {
      hint: "remove one of them: a converted model has a new digest, and no referrers",
    });
  }
  const name = parseLayout(layout);
  // What is in parts already is copied as it is, with the digest that it has.
  if (name === "parts" && path === undefined && compression === undefined) {
    const inParts = await partsManifests(reader, root, signal);
    for (const manifest of inParts ?? []) sayMoreLayers(session, manifest, layers);
    if (inParts !== undefined) return readGraph(reader, root, signal);
  }
  const files = await filesOfModel(session, { reader, root }, { path, stack });
  const numbers =
    name === "parts" && destination.kind === "registry"
      ? await numbersOfTag(
          session.originReader(destination.reference),
          destination.reference.tag,
          signal,
        )
      : undefined;
  const store = storeFiles(session, compression, parts);
  const { cutRecords } = readOptions(session);
  const options = {
    cache,
    signal,
    emit,
    root: below,
    split: { numbers, layers, cutRecords },
    store,
  };
  const laidOut = await layOut(name, files, options);
  if (name === "parts") sayMoreLayers(session, laidOut.root, layers);
  // Files of an image are no part of one any more.
  if (path !== undefined) return laidOut;
  const skipped = skippedAnnotations(root, reader.name);
  if (
    skipped !== undefined &&
    (name === "cog" || !holdsImages(name) || !isIndexType(root.mediaType))
  ) {
    emit({ type: "warning", message: skipped });
  }
  if (isIndexType(root.mediaType) && holdsImages(name)) {
    return withImages(session, reader, root, laidOut);
  }
  if (isIndexType(root.mediaType)) {
    const { manifests } = parseIndexEntries(root, reader.name).index;
    if (manifests.some((entry) => entryType(entry) === "image")) {
      emit({
        type: "warning",
        message: `layout ${name} holds only weights: the image is skipped`,
      });
    }
  }
  return laidOut;
}

/** The manifests of weights that are all in parts; else undefined. */
async function partsManifests(
  reader: ContentReader,
  root: RawManifest,
  signal: AbortSignal,
): Promise<RawManifest[] | undefined> {
  let isWhole = true;
  const onPassed = () => (isWhole = false);
  const contents = await readAllContents(reader, root, signal, { onPassed });
  // A copy that keeps its digest has every entry.
  if (!isWhole) return undefined;
  return contents.every(({ parts }) => parts !== undefined)
    ? contents.map(({ raw }) => raw)
    : undefined;
}

/** A model whose weights are others now: beside its images in an index, as a push of both makes it. */
async function withImages(
  { signal, emit }: Session,
  reader: ContentReader,
  root: RawManifest,
  weights: LaidOut,
): Promise<Converted> {
  const { manifests } = parseIndexEntries(root, reader.name).index;
  if (!manifests.some((entry) => entryType(entry) === "image")) return weights;
  const found = await readModelImage(reader, root, undefined, signal);
  const message = leftOutWarning(found);
  if (message !== undefined) emit({ type: "warning", message });
  const kept = await readableOf(reader, found.kept, signal, (text) => {
    emit({ type: "warning", message: text });
  });
  const image =
    kept.length === found.kept.length
      ? found
      : { ...found, kept, root: await standalone(reader, { ...found, kept }, signal) };
  if (weights.cogEntries !== undefined) return cogWithImage(reader, image, weights, signal);
  const part = { manifest: weights.root, blobs: weights.blobs };
  return assembleBundle(reader, image, [part], signal);
}

/**
 * Of what an index lists besides images and weights, the entries whose manifests can be read: nobody asked for the
 * others. `onPassed` is told why. Throws `network`, and what is neither missing nor faulty.
 */
async function readableOf(
  reader: ContentReader,
  entries: readonly Descriptor[],
  signal: AbortSignal,
  onPassed: (message: string) => void,
): Promise<Descriptor[]> {
  const readable: Descriptor[] = [];
  for (const entry of entries) {
    try {
      await readGraph(reader, await readChild(reader, entry, signal), signal);
      readable.push(entry);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof OcibundleError) || !isOfContent.has(error.code)) throw error;
      onPassed(`${error.message}: skipped`);
    }
  }
  return readable;
}

/** What a manifest that is missing, or no manifest, is told by. */
const isOfContent: ReadonlySet<string> = new Set(["file", "not_found", "integrity"]);
