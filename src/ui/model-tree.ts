import { shortDigest } from "../oci/digest.ts";
import type { Inspected, ModelSummary, WeightsSummary } from "../report/model.ts";
import type { ReportedWeight } from "../report/weights.ts";
import { formatSize } from "./size.ts";
import { displayWidth, truncate } from "./text.ts";
import { renderTree, type TreeNode } from "./tree.ts";
import type { View } from "./view.ts";

type Model = { name: string } & ModelSummary;
type Lock = Extract<Inspected, { type: "lock" }>;

/** Which weight files a tree lists: none, the first of many, or all. */
type FilesShown = "none" | "some" | "all";

const cut = (text: string) => ({ text, cut: true as const });
const sizeCell = (bytes: number) => ({ text: formatSize(bytes), align: "right" as const });

const wrapped = (text: string): TreeNode => ({ cells: [{ text, wrap: true }] });

const count = (number: number, noun: string): string =>
  `${number} ${noun}${number === 1 ? "" : "s"}`;

/** On a terminal that is too narrow for both, the path says more than the name: it has the extension. */
const weightNode =
  (short: boolean) =>
  (file: ReportedWeight): TreeNode => ({
    cells: [
      ...(short && saysName(file) ? [] : [cut(file.name)]),
      cut(file.dest),
      shortDigest(file.digest),
      sizeCell(file.size),
    ],
  });

/** "2 bp2.zstd, 1 zstd; 67.7 MiB decoded" where some parts are not stored as they are. */
function encodedParts(parts: WeightsSummary["parts"]): string | undefined {
  const encoded = Object.entries(parts?.encodings ?? {}).filter(([form]) => form !== "none");
  if (parts === null || encoded.length === 0) return undefined;
  const forms = encoded.map(([encoding, number]) => `${number} ${encoding}`).toSorted();
  return `${forms.join(", ")}; ${formatSize(parts.size)} decoded`;
}

/** "3 files in 15 parts", and how the parts are stored. */
function filesInParts(files: string, parts: WeightsSummary["parts"]): string {
  if (parts === null) return files;
  const encoded = encodedParts(parts);
  const inParts = `${files} in ${count(parts.count, "part")}`;
  return encoded === undefined ? inParts : `${inParts} (${encoded})`;
}

/** Whether a path ends with the name, but for an extension: `/src/weights/a/model.bin` says `a/model`. */
const saysName = ({ name, dest }: ReportedWeight): boolean => {
  const at = dest.lastIndexOf(`/${name}`);
  return at !== -1 && !dest.slice(at + 1 + name.length).includes("/");
};

const widest = (texts: readonly string[]): number => Math.max(0, ...texts.map(displayWidth));

/** Whether name, path, digest and size of every file fit side by side, as far in as a model's files are. */
function isTooNarrow(files: readonly ReportedWeight[], columns: number | undefined): boolean {
  if (columns === undefined) return false;
  const names = widest(files.map(({ name }) => name));
  const paths = widest(files.map(({ dest }) => dest));
  return names + paths > columns - besideNames;
}

/** What stands beside what weights are: the tree's lines, `weights`, a digest, a size and the gaps. */
const besideWhat = 45;

/** What a tree's lines, the digest, the size and the gaps between them take. */
const besideNames = 40;

/** On a terminal a longer list is cut to its first files, unless all were asked for. */
const mostFiles = 20;
const shownOfMany = 10;

function fileNodes(
  files: readonly ReportedWeight[],
  shown: FilesShown,
  columns: number | undefined,
): TreeNode[] {
  const node = weightNode(isTooNarrow(files, columns));
  if (shown === "all" || files.length <= mostFiles) return files.map(node);
  const more = files.length - shownOfMany;
  return [...files.slice(0, shownOfMany).map(node), wrapped(`… ${more} more, listed with -v`)];
}

const archiveNode = ({
  mediaType,
  digest,
  size,
}: WeightsSummary["unlisted"][number]): TreeNode => ({
  cells: ["archive", cut(mediaType), shortDigest(digest), sizeCell(size)],
});

/** What formats say with annotations of the weights' manifest is shown by what it means. */
const ofFormat = /^(?:run\.cog\.|vnd\.cog\.)/;

/** Characters of an annotation; --json has them whole. */
const longestAnnotation = 300;

function annotationNodes(annotations: Readonly<Record<string, string>>): TreeNode[] {
  const all = Object.entries(annotations).filter(([key]) => !ofFormat.test(key));
  const more = all.length - mostFiles;
  return [
    ...all.slice(0, mostFiles).map(([key, value]): TreeNode => {
      const text = truncate(`${key}: ${value}`, longestAnnotation);
      return { cells: ["annotation", { text, wrap: true }] };
    }),
    ...(more > 0 ? [wrapped(`… ${more} more annotations`)] : []),
  ];
}

/** The lines below a model's name: an image a platform, the weights, and what else there is. */
export function modelNodes(view: ModelSummary, shown: FilesShown, columns?: number): TreeNode[] {
  const nodes: TreeNode[] = view.images.map((image) => ({
    cells: [
      "image",
      image.platform ?? "no platform",
      shortDigest(image.digest),
      sizeCell(image.size),
      count(image.layers.length, "layer"),
    ],
  }));
  for (const weights of weightsOf(view)) {
    const { format, files, unlisted, digest, size, parts, annotations } = weights;
    const what = [
      ...(files.length > 0 || unlisted.length === 0 ? [count(files.length, "file")] : []),
      ...(unlisted.length > 0 ? [count(unlisted.length, "archive")] : []),
    ].join(", ");
    const encoded = encodedParts(parts);
    const inParts = parts === null ? what : `${what} in ${count(parts.count, "part")}`;
    const withForms = filesInParts(what, parts);
    const isLong = columns !== undefined && displayWidth(withForms) > columns - besideWhat;
    nodes.push({
      cells: [
        "weights",
        parts === null && format !== "bundle"
          ? `${what} (${format})`
          : isLong
            ? inParts
            : withForms,
        shortDigest(digest),
        sizeCell(size),
      ],
      children: [
        ...(encoded === undefined || !isLong ? [] : [wrapped(encoded)]),
        ...(shown === "none"
          ? []
          : [
              ...(digest === view.digest ? [] : annotationNodes(annotations)),
              ...fileNodes(files, shown, columns),
              ...unlisted.map(archiveNode),
            ]),
      ],
    });
  }
  for (const other of view.others) {
    nodes.push({
      cells: [
        "other",
        cut(
          other.referenceType === "attestation-manifest"
            ? "attestation"
            : (other.artifactType ?? other.mediaType),
        ),
        shortDigest(other.digest),
        sizeCell(other.size),
        ...(other.missing
          ? [`missing${other.platform === null ? "" : ` (${other.platform})`}`]
          : []),
      ],
    });
  }
  for (const { title, mediaType, digest, size } of view.content?.layers ?? []) {
    nodes.push({
      cells: ["layer", cut(title ?? ""), cut(mediaType), shortDigest(digest), sizeCell(size)],
    });
  }
  return nodes;
}

const weightsOf = ({ weights, moreWeights }: ModelSummary): readonly WeightsSummary[] =>
  weights === null ? [] : [weights, ...moreWeights];

/** A model with its weight files; on a terminal not more than the first of many, unless `verbose`. */
export const modelTree = (model: Model, view: View = {}): string =>
  renderTree(
    {
      cells: [
        cut(model.name),
        cut(
          model.type === "artifact"
            ? (model.artifactType ?? model.content?.config ?? model.mediaType)
            : model.type,
        ),
        shortDigest(model.digest),
      ],
      children: [
        ...annotationNodes(model.annotations),
        ...modelNodes(model, filesShown(view), view.columns),
      ],
    },
    view.columns,
  );

/** A lock and its files. */
export const lockTree = (lock: Lock, view: View = {}): string =>
  renderTree(
    {
      cells: [
        cut(lock.name),
        filesInParts(count(lock.files.length, "file"), lock.parts),
        formatSize(lock.parts?.stored ?? lock.files.reduce((sum, file) => sum + file.size, 0)),
      ],
      children: fileNodes(lock.files, filesShown(view), view.columns),
    },
    view.columns,
  );

const filesShown = ({ columns, verbose = false }: View): FilesShown =>
  verbose || columns === undefined ? "all" : "some";
