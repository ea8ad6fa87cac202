import { OcibundleError } from "../errors.ts";
import type { ArgDefinition, ArgDefinitions } from "../cli/command.ts";

/** The most layers of weights in parts. */
export const mostParts = {
  type: "number",
  valueHint: "N",
  min: 16,
  max: 10_000,
  description: "Limit weights in parts to N layers (default: 480)",
} as const satisfies ArgDefinition;

/** How parts are stored. */
export const partsCompression = {
  type: "enum",
  options: ["auto", "none", "zstd"],
} as const satisfies Partial<ArgDefinition>;

/** The flags of what writes a model elsewhere: the same for `push` and `copy`. */
export const writeArgs = {
  checkBlobs: {
    type: "boolean",
    description: "Check every blob, even if the registry has the manifest",
  },
  dryRun: {
    type: "boolean",
    alias: "n",
    description: "Show what would be sent without sending it",
  },
} as const satisfies ArgDefinitions;

/** The flags that say which image and weights make a model: the same for `build` and `push`. */
export const modelArgs = {
  image: {
    type: "string",
    valueHint: "SRC",
    description:
      "Image source: NAME (local engine or registry), docker-daemon:, docker-archive:, oci:, oci-archive: or docker://",
  },
  platform: {
    type: "string",
    valueHint: "OS/ARCH",
    description: "Use only the image of this platform (default: all platforms)",
  },
  weights: {
    type: "string",
    multiple: true,
    valueHint: "DIR",
    description: "Directory or source (hf://, s3://, https://) that has files of the lock",
  },
  file: {
    type: "string",
    multiple: true,
    valueHint: "NAME=PATH",
    description: "Path of one file of the lock",
  },
  include: {
    type: "string",
    multiple: true,
    valueHint: "GLOB",
    description: "Use only files of --weights that match this .gitignore pattern",
  },
  exclude: {
    type: "string",
    multiple: true,
    valueHint: "GLOB",
    description: "Exclude files of --weights that match this .gitignore pattern",
  },
  lock: {
    type: "string",
    valueHint: "FILE",
    description: "Lock file (default: ./weights.lock if it exists)",
  },
  weightsFrom: {
    type: "string",
    valueHint: "SRC",
    description: "Use the weights of another model; no local copy is needed",
  },
  layout: {
    type: "string",
    valueHint: "bundle|bundle-1|parts|cog|modelpack|image",
    description: "Store the weights in this layout",
  },
  root: {
    type: "string",
    valueHint: "DIRECTORY",
    description: "With --layout image, directory of the files in the image (default: models)",
  },
  parts: {
    type: "boolean",
    description: "Store large files in parts (same as --layout parts)",
  },
  mostParts,
  annotation: {
    type: "string",
    multiple: true,
    valueHint: "KEY=VALUE",
    description: "Annotate the tagged manifest, which changes its digest",
  },
  annotationsFromSource: {
    type: "boolean",
    description: "Annotate the weights with their source, revision, license and time",
  },
  compression: {
    ...partsCompression,
    description: "With --parts, compression of the parts (default: as in the lock, otherwise none)",
  },
  format: {
    type: "string",
    valueHint: "standalone|bundle",
    description: "Write only the image, or an index of image and weights",
  },
} as const satisfies ArgDefinitions;

interface LayoutFlags {
  layout: string | undefined;
  parts?: boolean | undefined;
  plain?: boolean | undefined;
}

/** The layout that flags name: `--parts` and `--plain` are short for one each. Throws `usage`. */
export function oneLayout({ layout, parts, plain }: LayoutFlags): string | undefined {
  const named = [
    ...(layout === undefined ? [] : ["--layout"]),
    ...(parts === true ? ["--parts"] : []),
    ...(plain === true ? ["--plain"] : []),
  ];
  if (named.length > 1) {
    const [first, second] = named;
    throw new OcibundleError("usage", `${first} and ${second} cannot be used together`, {
      hint: "remove one of them",
    });
  }
  return parts === true ? "parts" : plain === true ? "bundle" : layout;
}
