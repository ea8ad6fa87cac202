import { OcibundleError } from "../../errors.ts";
import type { BlobToMove } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { digestHex, digestOf } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import { laterWeightsArtifactType } from "../format/annotations.ts";
import { setDigest } from "../format/artifact/cog-weight.ts";
import type { CogLockEntry } from "../format/cog-lock.ts";
import { goJson } from "../format/go-json.ts";
import { bundles } from "./image.ts";
import {
  type NamedWeight,
  type OriginalFile,
  type PlacedFile,
  placeBelow,
  placeFiles,
} from "./original-file.ts";
import { type TarBlob, tarBlob, type TarOptions } from "./tar-blob.ts";

/** A weight as Cog keeps it: one manifest, and what its index and its tag need to say of it. */
export interface CogWeight {
  name: string;
  manifest: RawManifest;
  blobs: BlobToMove[];
  /** The entry of the index. */
  entry: Descriptor;
  tag: string;
  /** Its entry in Cog's lock, version 1, but for the time. */
  lockEntry: CogLockEntry;
}

const configType = "application/vnd.cog.weight.config.v1+json";

/**
 * The `cog` layout: what Cog has written since 0.19.3, as plain tar archives in Go's exact layout, so that
 * large files have the digests that Cog's own layers have. Each weight that files belong to is one of its own;
 * where these lie in each other, and of files that belong to none, it is one of all. Throws `usage` where all
 * files of a weight are empty.
 */
export async function cogWeights(
  originals: readonly OriginalFile[],
  options: TarOptions,
): Promise<CogWeight[]> {
  const groups = Map.groupBy(originals, ({ weight }) => weight?.target);
  if (groups.has(undefined) || isNested([...groups.keys()])) {
    const { files, directory } = placeFiles(originals);
    const target = directory === "/" ? "/src/weights" : directory;
    return [await cogWeight(files, { name: weightName(target), target }, options)];
  }
  const names = new Set<string>();
  const weights: CogWeight[] = [];
  for (const [target = "/", group] of groups) {
    const named = [...new Set(group.map(({ weight }) => weight))];
    const name = named[0]?.name ?? target;
    const sources = named.every((weight) => weight?.sources !== undefined)
      ? named.flatMap((weight) => weight?.sources ?? [])
      : undefined;
    const own = uniqueName(weightName(name), names);
    const files = placeBelow(group, target);
    weights.push(await cogWeight(files, { name: own, target, sources }, options));
  }
  return weights;
}

/** Cog refuses targets one of which lies in another, and the root. */
const isNested = (targets: readonly (string | undefined)[]): boolean =>
  targets.some(
    (one = "/") =>
      one === "/" ||
      targets.some((other) => other !== one && other?.startsWith(`${one}/`) === true),
  );

function uniqueName(name: string, taken: Set<string>): string {
  let unique = name;
  for (let number = 2; taken.has(unique); number += 1) unique = `${name}-${number}`;
  taken.add(unique);
  return unique;
}

async function cogWeight(
  files: readonly PlacedFile[],
  { name, target, sources }: NamedWeight,
  options: TarOptions,
): Promise<CogWeight> {
  const tars: TarBlob[] = [];
  for (const group of withoutEmpty(bundles(files, Number.POSITIVE_INFINITY))) {
    tars.push(await tarBlob(group, options));
  }
  const layerOf = new Map(tars.flatMap((tar) => tar.files.map((file) => [file.path, tar.digest])));
  const listed = files.map(({ path, size, digest }) => ({
    path,
    layer: layerOf.get(path),
    size,
    digest,
  }));
  const set = setDigest(listed);
  const config = goJson({ name, target, setDigest: set, files: listed });
  const layers = tars.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
  // The order of members is that of the Go library that Cog writes manifests with.
  const bytes = goJson({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: laterWeightsArtifactType,
    config: { mediaType: configType, size: config.byteLength, digest: digestOf(config) },
    layers: layers.map((tar) => ({
      mediaType: mediaTypes.ociLayer,
      size: tar.size,
      digest: tar.digest,
      annotations: { "run.cog.weight.size.uncompressed": String(bytesIn(tar.files)) },
    })),
    annotations: {
      "run.cog.weight.name": name,
      "run.cog.weight.set-digest": set,
      "run.cog.weight.target": target,
    },
  });
  const manifest = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
  return {
    name,
    manifest,
    tag: `cog-weight.${name}.${digestHex(set as `sha256:${string}`).slice(0, 12)}`,
    blobs: [
      {
        descriptor: { mediaType: configType, digest: digestOf(config), size: config.byteLength },
        label: "config of the weights",
        group: "weights",
        source: () => Promise.resolve({ kind: "bytes", bytes: config }),
      },
      ...layers.map((tar) => tar.blob(mediaTypes.ociLayer)),
    ],
    lockEntry: {
      name,
      target,
      sources,
      digest: manifest.digest,
      setDigest: set,
      size: bytesIn(files),
      sizeCompressed: layers.reduce((sum, { size }) => sum + size, 0),
      files: listed.map(({ path, size, digest, layer }) => ({ path, size, digest, layer })),
      layers: layers.map((tar) => ({
        digest: tar.digest,
        mediaType: mediaTypes.ociLayer,
        size: tar.size,
        sizeUncompressed: bytesIn(tar.files),
      })),
    },
    entry: {
      mediaType: manifest.mediaType,
      size: bytes.byteLength,
      digest: manifest.digest,
      annotations: {
        "run.cog.weight.name": name,
        "run.cog.weight.set-digest": set,
        "run.cog.weight.size.uncompressed": String(bytesIn(files)),
      },
      platform: { architecture: "unknown", os: "unknown" },
      artifactType: laterWeightsArtifactType,
    },
  };
}

/** The index of images, if there are any, and Cog's weights. */
export function cogIndex(
  images: readonly Descriptor[],
  weights: readonly Descriptor[],
): RawManifest {
  const bytes = goJson({
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: [...images, ...weights],
  });
  return { mediaType: mediaTypes.ociIndex, digest: digestOf(bytes), bytes };
}

const bytesIn = (files: readonly PlacedFile[]): number =>
  files.reduce((sum, { size }) => sum + size, 0);

/** Cog refuses a layer of nothing but empty files: they go to others. */
function withoutEmpty(groups: readonly PlacedFile[][]): PlacedFile[][] {
  const empty = groups.filter((group) => bytesIn(group) === 0).flat();
  const [first, ...others] = groups.filter((group) => bytesIn(group) > 0);
  if (first === undefined) {
    throw new OcibundleError(
      "usage",
      "layout cog: all files are empty, which Cog does not support",
      { hint: "use another layout, such as --layout modelpack" },
    );
  }
  return empty.length === 0 ? [first, ...others] : [[...first, ...empty], ...others];
}

const allowedName = /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/;

/** Cog's names are of lower-case letters and digits with `.`, `_` and `-` between them. */
function weightName(named: string): string {
  const last = named.slice(named.lastIndexOf("/") + 1).toLowerCase();
  if (allowedName.test(last)) return last;
  return last.replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-+|-+$/g, "") || "weights";
}
