import { type Digest, shortDigest } from "../oci/digest.ts";
import { formatSize } from "./size.ts";
import { renderTree, type TreeNode } from "./tree.ts";

/** A weight file as a tree shows it. */
export interface WeightView {
  name: string;
  dest: string;
  /** Stored, in bytes. */
  size: number;
  digest: Digest;
}

/** What `inspect` and the reports of `push` and `build` show of a model. Sizes in bytes. */
export interface ModelView {
  /** What the user asked for, or where it is now. */
  name: string;
  type: string;
  mediaType: string;
  artifactType: string | null;
  digest: Digest;
  images: readonly {
    platform: string | null;
    digest: Digest;
    size: number;
    layers: readonly unknown[];
  }[];
  weights: WeightsView | null;
  moreWeights: readonly WeightsView[];
  others: readonly {
    digest: Digest;
    mediaType: string;
    artifactType: string | null;
    referenceType: string | null;
    platform: string | null;
    size: number;
    missing: boolean;
  }[];
  content: {
    config: string | null;
    layers: readonly { digest: Digest; size: number; mediaType: string; title: string | null }[];
  } | null;
}

interface WeightsView {
  format: string;
  digest: Digest;
  size: number;
  files: readonly WeightView[];
  unlisted: readonly { digest: Digest; size: number; mediaType: string }[];
}

export interface LockView {
  name: string;
  files: readonly WeightView[];
}

const sizeCell = (bytes: number) => ({ text: formatSize(bytes), align: "right" as const });

const count = (number: number, noun: string): string =>
  `${number} ${noun}${number === 1 ? "" : "s"}`;

const weightNode = (file: WeightView): TreeNode => ({
  cells: [file.name, file.dest, shortDigest(file.digest), sizeCell(file.size)],
});

const archiveNode = ({ mediaType, digest, size }: WeightsView["unlisted"][number]): TreeNode => ({
  cells: ["archive", mediaType, shortDigest(digest), sizeCell(size)],
});

/** The lines below a model's name: an image a platform, the weights, and what else there is. */
export function modelNodes(view: ModelView, withFiles: boolean): TreeNode[] {
  const nodes: TreeNode[] = view.images.map((image) => ({
    cells: [
      "image",
      image.platform ?? "no platform",
      shortDigest(image.digest),
      sizeCell(image.size),
      count(image.layers.length, "layer"),
    ],
  }));
  for (const { format, files, unlisted, digest, size } of weightsOf(view)) {
    const what = [
      ...(files.length > 0 || unlisted.length === 0 ? [count(files.length, "file")] : []),
      ...(unlisted.length > 0 ? [count(unlisted.length, "archive")] : []),
    ].join(", ");
    nodes.push({
      cells: [
        "weights",
        format === "bundle" ? what : `${what} (${format})`,
        shortDigest(digest),
        sizeCell(size),
      ],
      ...(withFiles ? { children: [...files.map(weightNode), ...unlisted.map(archiveNode)] } : {}),
    });
  }
  for (const other of view.others) {
    nodes.push({
      cells: [
        "other",
        other.referenceType === "attestation-manifest"
          ? "attestation"
          : (other.artifactType ?? other.mediaType),
        shortDigest(other.digest),
        sizeCell(other.size),
        ...(other.missing
          ? [`missing${other.platform === null ? "" : ` (${other.platform})`}`]
          : []),
      ],
    });
  }
  for (const { title, mediaType, digest, size } of view.content?.layers ?? []) {
    nodes.push({ cells: ["layer", title ?? "", mediaType, shortDigest(digest), sizeCell(size)] });
  }
  return nodes;
}

const weightsOf = ({ weights, moreWeights }: ModelView): readonly WeightsView[] =>
  weights === null ? [] : [weights, ...moreWeights];

/** A model with every weight file. */
export const modelTree = (view: ModelView): string =>
  renderTree({
    cells: [
      view.name,
      view.type === "artifact"
        ? (view.artifactType ?? view.content?.config ?? view.mediaType)
        : view.type,
      shortDigest(view.digest),
    ],
    children: modelNodes(view, true),
  });

/** A lock and its files. */
export const lockTree = (view: LockView): string =>
  renderTree({
    cells: [
      view.name,
      count(view.files.length, "file"),
      formatSize(view.files.reduce((sum, file) => sum + file.size, 0)),
    ],
    children: view.files.map(weightNode),
  });
