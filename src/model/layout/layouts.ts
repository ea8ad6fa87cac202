import { OcibundleError } from "../../errors.ts";
import type { BlobToMove } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { compressBytes } from "../../runtime/small-file.ts";
import type { CogLockEntry } from "../format/cog-lock.ts";
import { compressionLevels } from "../format/compression.ts";
import type { LayoutName } from "../format/layout-name.ts";
import { emptyConfig, emptyConfigBytes, weightsManifest } from "../format/weights-artifact.ts";
import { layerTypes, quoted } from "../format/weight-entry.ts";
import type { ContentGraph } from "../graph/content-graph.ts";
import { cogIndex, cogWeights } from "./cog.ts";
import { imageLayout, rootOf } from "./image.ts";
import { modelPackLayout, rawBlob } from "./modelpack.ts";
import type { OriginalFile, StoredFile } from "./original-file.ts";
import { partsLayout, recipeConfig } from "./parts.ts";
import { type SplitOptions, splitOriginals } from "./split-originals.ts";
import type { TarOptions } from "./tar-blob.ts";

/** Weights in a layout, ready to be published. */
export interface LaidOut extends ContentGraph {
  /** Further tags that the layout's tools look for. */
  childTags: ReadonlyMap<Digest, string>;
  /** What an index says of the weights, where the layout has an index that an image can stand in. */
  entries: readonly Descriptor[];
  /** For Cog's own lock. */
  cogEntries?: readonly CogLockEntry[];
}

const alone = { childTags: new Map<Digest, string>(), entries: [] };

/** What a layout is written with; each layout uses its own part of it. */
export interface LayoutOptions extends TarOptions {
  /** For the layout `parts` alone. */
  split?: Omit<SplitOptions, "signal" | "emit"> | undefined;
  /** Gives the parts of files the form in which they are to be stored; they stay as they are without. */
  store?: ((files: readonly OriginalFile[]) => Promise<OriginalFile[]>) | undefined;
  /** The directory of an image that files are in; `models` when undefined. */
  root?: string | undefined;
}

/** What `--root` with another layout is refused with. */
export const imageOnly = (): OcibundleError =>
  new OcibundleError("usage", "--root needs the layout image", {
    hint: "add --layout image, or remove --root",
  });

/** What a flag of weights in parts is refused with where another layout is written. */
export const partsOnly = (flag: string): OcibundleError =>
  new OcibundleError("usage", `${flag} needs --parts`, {
    hint: `add --parts, or remove ${flag}`,
  });

/** Lays files out. Throws `usage` for what a layout can't hold. */
export async function layOut(
  layout: LayoutName,
  files: readonly OriginalFile[],
  options: LayoutOptions,
): Promise<LaidOut> {
  if (options.root !== undefined && layout !== "image") throw imageOnly();
  switch (layout) {
    case "bundle":
    case "bundle-1":
      return { ...bundleLayout(files, { titles: layout === "bundle" }), ...alone };
    case "parts": {
      const split = await splitOriginals(files, { ...options.split, ...options });
      const { store = (same) => Promise.resolve([...same]) } = options;
      const { manifest: root, blobs } = partsLayout(await store(split));
      return { root, children: [], blobs, ...alone };
    }
    case "modelpack":
      return { ...(await modelPackLayout(files, options.signal)), ...alone };
    case "image":
      return { ...(await imageLayout(files, options, rootOf(options.root))), ...alone };
    case "cog": {
      const weights = await cogWeights(files, options);
      const entries = weights.map(({ entry }) => entry);
      const blobs = weights.flatMap((weight) => weight.blobs);
      return {
        root: cogIndex([], entries),
        children: weights.map(({ manifest }) => manifest),
        blobs: [...new Map(blobs.map((blob) => [blob.descriptor.digest, blob])).values()],
        childTags: new Map(weights.map(({ manifest, tag }) => [manifest.digest, tag])),
        entries,
        cogEntries: weights.map(({ lockEntry }) => lockEntry),
      };
    }
  }
}

const nothing = new Uint8Array(0);
const packed = compressBytes(nothing, "gzip", compressionLevels.gzip);

const storedDescriptor = ({ encoding, digest, size }: StoredFile) => ({
  mediaType: layerTypes[encoding],
  digest,
  size,
});

/** How an empty file is stored, as in a lock: registries reject empty blobs. */
const emptyFile = {
  descriptor: { mediaType: layerTypes.gzip, digest: digestOf(packed), size: packed.byteLength },
  group: "weights",
  source: () => Promise.resolve({ kind: "bytes", bytes: packed } as const),
} as const;

/**
 * The bundle's weights artifact: every file as it is or, where a blob of it compressed is there, as that; an
 * empty one as gzip. With titles, its config is the recipe of files that are split.
 */
export function bundleLayout(
  files: readonly OriginalFile[],
  { titles = true }: { titles?: boolean } = {},
): ContentGraph {
  const placed = files.map((file) => ({ ...file, path: file.dest.slice(1) }));
  const recipe = titles ? recipeConfig(files) : undefined;
  const root = weightsManifest(
    placed.map(({ name, dest, digest, size, stored }) => ({
      name,
      dest,
      digestOriginal: digest,
      sizeUncompressed: size,
      ...(size === 0
        ? emptyFile.descriptor
        : stored === undefined
          ? { mediaType: layerTypes.none, digest, size }
          : storedDescriptor(stored)),
    })),
    { titles, config: recipe?.descriptor },
  );
  const blobs = new Map<Digest, BlobToMove>();
  for (const file of placed) {
    const { name, digest, size, stored } = file;
    if (stored !== undefined && size > 0) {
      const { source, check } = stored;
      blobs.set(
        stored.digest,
        rawBlob(
          { ...file, source, ...(check === undefined ? {} : { check }) },
          storedDescriptor(stored),
        ),
      );
    } else if (size === 0) {
      const label = `weight ${quoted(name)}`;
      blobs.set(emptyFile.descriptor.digest, { ...emptyFile, label, name });
    } else blobs.set(digest, rawBlob(file, { mediaType: layerTypes.none, digest, size }));
  }
  const config: BlobToMove = recipe ?? {
    descriptor: emptyConfig,
    label: "config of the weights",
    group: "weights",
    source: () => Promise.resolve({ kind: "bytes", bytes: emptyConfigBytes }),
  };
  return { root, children: [], blobs: [config, ...blobs.values()] };
}
