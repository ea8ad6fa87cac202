import type { ArgDefinitions } from "../cli/command.ts";

/** The flags that say which image and weights make a model: the same for `build` and `push`. */
export const modelArgs = {
  image: {
    type: "string",
    valueHint: "SRC",
    description:
      "The image: NAME of the local engine or a registry, docker-daemon:, docker-archive:, oci:, oci-archive: or docker://",
  },
  platform: {
    type: "string",
    valueHint: "OS/ARCH",
    description: "Which image of a multi-platform source; all of them when not given",
  },
  weights: {
    type: "string",
    multiple: true,
    valueHint: "DIR",
    description: "A folder with files of the lock",
  },
  file: {
    type: "string",
    multiple: true,
    valueHint: "NAME=PATH",
    description: "Where one file of the lock lies",
  },
  include: {
    type: "string",
    multiple: true,
    valueHint: "GLOB",
    description: "Use only files of --weights that match, as in .gitignore",
  },
  exclude: {
    type: "string",
    multiple: true,
    valueHint: "GLOB",
    description: "Leave out files of --weights that match, as in .gitignore",
  },
  lock: {
    type: "string",
    valueHint: "FILE",
    description: "The lock to use; ./weights.lock when it is there",
  },
  weightsFrom: {
    type: "string",
    valueHint: "SRC",
    description: "Use the weights that another model has; no local copy of them is needed",
  },
  layout: {
    type: "string",
    valueHint: "bundle|bundle-1|cog|modelpack|image",
    description: "What the weights are written as, for the tools that are to read them",
  },
  format: {
    type: "string",
    valueHint: "standalone|bundle",
    description: "Everything in one image, or image and weights side by side in an index",
  },
} as const satisfies ArgDefinitions;
