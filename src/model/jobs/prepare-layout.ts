import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { parsePlatform } from "../../oci/platform.ts";
import { machinePlatform } from "../session/machine-platform.ts";
import type { AssembledModel } from "../graph/assemble.ts";
import { assembleStandalone } from "../graph/assemble.ts";
import { leftOutWarning, type ModelImage, readModelImage } from "../graph/image-part.ts";
import { cogIndex } from "../layout/cog.ts";
import type { LayoutName } from "../format/layout-name.ts";
import { type LaidOut, layOut } from "../layout/layouts.ts";
import { filesOfModel } from "./model-files.ts";
import type { OriginalFile } from "../layout/original-file.ts";
import { chosenFiles } from "../lock/from-lock.ts";
import { withMountFrom } from "../places/mount-sources.ts";
import { imagePlace, modelPlace } from "../places/place.ts";
import type { Repository } from "../../registry/types.ts";
import type { Session } from "../session/session.ts";
import { annotatedModel, type ChosenAnnotations } from "./annotate.ts";
import type { ModelParts } from "./model-parts.ts";
import { withTargets } from "./project-targets.ts";
import { withVolume } from "./with-volume.ts";

interface LayoutContext {
  /** The registry that it goes to. */
  host: string | undefined;
  /** Closes sources that were opened. */
  stack: AsyncDisposableStack;
  annotations: ChosenAnnotations;
}

/**
 * The weights of a lock or of another model in a layout that is not the bundle's. Sources that were opened
 * are closed by `stack`. Throws `usage` for what does not fit.
 */
export async function prepareLayout(
  session: Session,
  parts: ModelParts,
  layout: LayoutName,
  { host, stack, annotations }: LayoutContext,
): Promise<AssembledModel> {
  if (parts.format !== undefined) {
    throw new OcibundleError("usage", `--layout ${layout} and --format cannot be used together`, {
      hint: "remove one of them",
    });
  }
  if (parts.image !== undefined && layout !== "cog") {
    throw new OcibundleError("usage", `--layout ${layout} cannot hold an image`, {
      hint: "push the image under its own tag, or use the layout bundle or cog",
    });
  }
  // Cog's manifest of weights has a fixed form, and its index is of the weights only where there is no image.
  if (parts.image !== undefined && Object.keys(annotations.weights).length > 0) {
    throw new OcibundleError(
      "usage",
      `--layout ${layout}, an image and --annotations-from-source cannot be used together`,
      { hint: "push the weights alone, or annotate the index of both with --annotation KEY=VALUE" },
    );
  }
  const all = { ...annotations.weights, ...annotations.root };
  const found = await filesFor(session, parts, stack);
  const { repository } = found;
  const files = layout === "cog" ? await withTargets(session, parts, found.files) : found.files;
  const { cache, signal, emit } = session;
  const { entries, ...graph } = await layOut(layout, files, {
    cache,
    signal,
    emit,
    root: parts.volume === true ? undefined : parts.root,
  });
  const from =
    repository !== undefined && repository.registry.host === host ? [repository.name] : [];
  const model: AssembledModel = {
    ...graph,
    // What the layout can use as it is stored is mounted; the rest is not there, and is sent.
    blobs: from.length === 0 ? graph.blobs : withMountFrom(graph.blobs, () => from),
  };
  return annotatedModel(
    parts.image === undefined
      ? parts.volume === true
        ? await withVolume(session, model, { files, root: parts.root })
        : model
      : await withImage(session, parts, { source: parts.image, model, entries }, stack),
    all,
  );
}

/** The files of a lock or of another model. Throws `usage` where there is neither. */
export async function filesFor(
  session: Session,
  parts: ModelParts,
  stack: AsyncDisposableStack,
): Promise<{ files: OriginalFile[]; repository?: Repository | undefined }> {
  if (parts.weightsFrom === undefined) {
    const files = await chosenFiles(session, parts);
    if (files !== undefined) return { files };
    throw new OcibundleError("usage", "--layout needs weights, but no lock exists", {
      hint: "run `ocibundle lock ./weights` first, or use --weights-from",
    });
  }
  const { open, repository } = await modelPlace(session, parts.weightsFrom);
  const { reader, root, close } = await open();
  stack.defer(close);
  return { files: await filesOfModel(session, { reader, root }, { stack }), repository };
}

/** Cog's index of an image and its weights. */
async function withImage(
  session: Session,
  parts: ModelParts,
  {
    source,
    model,
    entries,
  }: { source: string; model: AssembledModel; entries: readonly Descriptor[] },
  stack: AsyncDisposableStack,
): Promise<AssembledModel> {
  const platform =
    parts.platform === undefined ? undefined : parsePlatform(parts.platform, machinePlatform());
  const { reader, root, close } = await imagePlace(session, source).open({ platform });
  stack.defer(close);
  const image = await readModelImage(reader, root, platform, session.signal);
  const message = leftOutWarning(image);
  if (message !== undefined) session.emit({ type: "warning", message });
  return cogWithImage(reader, image, { ...model, entries }, session.signal);
}

/** Cog's index of an image and weights that are laid out for Cog. */
export async function cogWithImage(
  reader: ContentReader,
  image: ModelImage,
  { entries, ...model }: AssembledModel & Pick<LaidOut, "entries">,
  signal: AbortSignal,
): Promise<AssembledModel> {
  const whole = await assembleStandalone(reader, image, signal);
  const isIndex = whole.root.digest !== image.images[0]?.digest;
  return {
    ...model,
    root: cogIndex([...image.images, ...image.kept], entries),
    children: [...whole.children, ...(isIndex ? [] : [whole.root]), ...model.children],
    blobs: [...whole.blobs, ...model.blobs],
    leftOut: whole.leftOut ?? [],
    image,
  };
}
