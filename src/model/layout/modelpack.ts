import type { BlobToMove } from "../../oci/content.ts";
import { digestOf } from "../../oci/digest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import { goJson } from "../format/go-json.ts";
import { quoted } from "../format/weight-entry.ts";
import { weightFiles } from "../format/weight-names.ts";
import type { ContentGraph } from "../graph/content-graph.ts";
import { mayBeSplit } from "../parts/tree-numbers.ts";
import { describeModel, type ModelDescription } from "./describe-model.ts";
import { type OriginalFile, type PlacedFile, placeFiles, refuseEmpty } from "./original-file.ts";

const manifestType = "application/vnd.cncf.model.manifest.v1+json";
const configType = "application/vnd.cncf.model.config.v1+json";

/**
 * The `modelpack` layout: every file a raw layer with its path, which modctl, KitOps, Docker Model Runner,
 * oras, CRI-O and podman read. A pure function of the files, so that the same weights have the same digest.
 * Throws `usage` for an empty file.
 */
export async function modelPackLayout(
  originals: readonly OriginalFile[],
  signal: AbortSignal,
): Promise<ContentGraph> {
  const { files } = placeFiles(originals);
  refuseEmpty(files, "modelpack");
  const config = goJson(configOf(files, await describeModel(files, signal)));
  const configBlob = {
    mediaType: configType,
    digest: digestOf(config),
    size: config.byteLength,
  };
  const layers = files.map((file) => ({
    mediaType: `application/vnd.cncf.model.${kindOf(file.path)}.v1.raw`,
    digest: file.digest,
    size: file.size,
    annotations: {
      "org.cncf.model.file.mediatype.untested": "true",
      "org.cncf.model.filepath": file.path,
      "org.opencontainers.image.title": file.path,
    },
  }));
  const bytes = goJson({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: manifestType,
    config: configBlob,
    layers,
  });
  const root = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
  const blobs = new Map<string, BlobToMove>([
    [
      configBlob.digest,
      {
        descriptor: configBlob,
        label: "config of the weights",
        group: "weights",
        source: () => Promise.resolve({ kind: "bytes", bytes: config }),
      },
    ],
  ]);
  for (const [index, file] of files.entries()) {
    const layer = layers[index];
    if (layer === undefined || blobs.has(file.digest)) continue;
    const { digest, size, mediaType } = layer;
    blobs.set(file.digest, rawBlob(file, { digest, size, mediaType }));
  }
  return { root, children: [], blobs: [...blobs.values()] };
}

/** A file as a blob of its own. */
export const rawBlob = (
  { name, size, source, check, mismatchHint, reportCorrupt }: PlacedFile,
  descriptor: BlobToMove["descriptor"],
): BlobToMove => ({
  descriptor,
  label: `weight ${quoted(name)}`,
  name,
  group: "weights",
  canSplit: mayBeSplit(size),
  source,
  ...(check === undefined ? {} : { check }),
  ...(mismatchHint === undefined ? {} : { mismatchHint }),
  ...(reportCorrupt === undefined ? {} : { reportCorrupt }),
});

/** What modctl's classes come to, by the base name; the first that matches. */
const kinds: readonly (readonly [string, RegExp])[] = [
  [
    "weight.config",
    /\.(?:json|jsonl|ya?ml|toml|ini|cfg|conf|config|xml|modelcard|tiktoken|jinja|params)$|^(?:vocab|merges|added_tokens|spiece)\.|tokenizer\.model|sentencepiece/i,
  ],
  ["weight", weightFiles],
  [
    "code",
    /\.(?:py|ipynb|sh|c|h|cpp|go|rs|so|js|ts)$|^(?:requirements.*\.txt|makefile|dockerfile)/i,
  ],
  ["doc", /\.(?:txt|md|pdf|png|jpe?g|gif|svg|mp4)$|^(?:license|readme|notice|copying)/i],
];

function kindOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return kinds.find(([, pattern]) => pattern.test(name))?.[0] ?? "weight";
}

/** ModelPack's config; all three objects must be there, and what is not known is left out. */
const configOf = (files: readonly PlacedFile[], described: ModelDescription): object => {
  const { family, name, licenses, ...config } = described;
  return {
    descriptor: {
      ...(family === undefined ? {} : { family }),
      ...(name === undefined ? {} : { name }),
      ...(licenses === undefined ? {} : { licenses }),
    },
    modelfs: { type: "layers", diffIds: files.map(({ digest }) => digest) },
    config,
  };
};
