import { OcibundleError } from "../../errors.ts";
import type { BlobToMove } from "../../oci/content.ts";
import { digestOf } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import { goJson } from "../format/go-json.ts";
import { checkDest } from "../format/weight-dest.ts";
import { quoted } from "../format/weight-entry.ts";
import type { ContentGraph } from "../graph/content-graph.ts";
import { type OriginalFile, type PlacedFile, placeFiles } from "./original-file.ts";
import { tarBlob, type TarOptions } from "./tar-blob.ts";

const smallSize = 64 * 1024 * 1024;
const bundleSize = 256 * 1024 * 1024;

/** Overlay file systems mount about this many layers. */
const maxLayers = 100;

/** The platforms whose engines mount such an image; its files are the same for all. */
const architectures = ["amd64", "arm64"] as const;

/** Packs small files together, and a large one by itself; more together where layers would be too many. */
export function bundles(files: readonly PlacedFile[], most: number = maxLayers): PlacedFile[][] {
  const groups: PlacedFile[][] = [];
  let small: PlacedFile[] = [];
  let bytes = 0;
  for (const file of files) {
    if (file.size >= smallSize) {
      groups.push([file]);
      continue;
    }
    if (small.length > 0 && bytes + file.size > bundleSize) {
      groups.push(small);
      small = [];
      bytes = 0;
    }
    small.push(file);
    bytes += file.size;
  }
  if (small.length > 0) groups.push(small);
  if (groups.length <= most) return groups;
  const perLayer = Math.ceil(groups.length / most);
  return Array.from({ length: Math.ceil(groups.length / perLayer) }, (_, index) =>
    groups.slice(index * perLayer, (index + 1) * perLayer).flat(),
  );
}

/** The directory in an image, without slashes around it; empty for the root. Throws `usage`. */
export function rootOf(named = "models"): string {
  const root = named.replaceAll(/^(?:\.?\/)+|\/+$/g, "");
  const fault = root === "" || root === "." ? undefined : checkDest(`/${root}`);
  if (fault !== undefined) {
    throw new OcibundleError("usage", `--root ${quoted(named)}: ${fault}`, {
      hint: "specify a directory in the image, such as --root models",
    });
  }
  return root === "." ? "" : root;
}

/**
 * The `image` layout: an ordinary image of plain tar layers with the files below `root`, for Kubernetes
 * image volumes, KServe, podman and docker. One index for amd64 and arm64, which share the layers.
 */
export async function imageLayout(
  originals: readonly OriginalFile[],
  options: TarOptions,
  root: string,
): Promise<ContentGraph> {
  const files = placeFiles(originals).files.map((file) => ({
    ...file,
    path: root === "" ? file.path : `${root}/${file.path}`,
  }));
  const blobs: BlobToMove[] = [];
  for (const group of bundles(files)) {
    const layer = await tarBlob(group, options);
    blobs.push(layer.blob(mediaTypes.ociLayer));
  }
  const layers = blobs.map(({ descriptor }) => descriptor);
  const children: RawManifest[] = [];
  for (const architecture of architectures) {
    const bytes = goJson({
      architecture,
      os: "linux",
      config: {},
      rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
    });
    const config = {
      mediaType: mediaTypes.ociConfig,
      digest: digestOf(bytes),
      size: bytes.byteLength,
    };
    blobs.push({
      descriptor: config,
      label: `config of the image for ${architecture}`,
      group: "weights",
      source: () => Promise.resolve({ kind: "bytes", bytes }),
    });
    const manifest = goJson({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config,
      layers,
    });
    children.push({
      mediaType: mediaTypes.ociManifest,
      digest: digestOf(manifest),
      bytes: manifest,
    });
  }
  const index = goJson({
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: children.map(({ mediaType, digest, bytes }, at) => ({
      mediaType,
      digest,
      size: bytes.byteLength,
      platform: { architecture: architectures[at], os: "linux" },
    })),
  });
  return {
    root: { mediaType: mediaTypes.ociIndex, digest: digestOf(index), bytes: index },
    children,
    blobs: [...new Map(blobs.map((blob) => [blob.descriptor.digest, blob])).values()],
  };
}
