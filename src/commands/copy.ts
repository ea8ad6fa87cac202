import { defineCommand } from "../cli/command.ts";
import { oneLayout, writeArgs, mostParts, partsCompression } from "./model-args.ts";
import { copyModel } from "../model/jobs/copy.ts";
import { pushReport } from "../ui/push-report.ts";

/** Reports as a push does (`PublishReport`); `--quiet` prints the digest at the target, a new one with `--layout`. */
export const command = defineCommand({
  meta: {
    name: "copy",
    description: "Copy a model between registries, layouts and archives",
    example: [
      "ocibundle copy registry.example.com/acme/llama:v1 mirror.example.com/acme/llama:v1",
      "ocibundle copy registry.example.com/acme/llama:v1 oci-archive:llama.tar:v1",
    ],
  },
  args: {
    src: {
      type: "positional",
      description: "Registry reference, oci:DIR[:TAG] or oci-archive:FILE[:TAG]",
    },
    dst: { type: "positional", description: "Target, in the same forms" },
    platform: {
      type: "string",
      valueHint: "OS/ARCH",
      description: "Copy the weights and only the image of this platform",
    },
    layout: {
      type: "string",
      valueHint: "bundle|bundle-1|parts|cog|modelpack|image",
      description: "Convert the weights to this layout",
    },
    path: {
      type: "string",
      valueHint: "DIRECTORY",
      description: "With --layout, use the files in this directory of an image",
    },
    root: {
      type: "string",
      valueHint: "DIRECTORY",
      description: "With --layout image, directory of the files in the image (default: models)",
    },
    parts: { type: "boolean", description: "Store large files in parts (same as --layout parts)" },
    mostParts,
    compression: {
      ...partsCompression,
      description: "With --parts, compression of the parts (default: as in SRC, otherwise none)",
    },
    plain: {
      type: "boolean",
      description: "Store every file as one layer (same as --layout bundle)",
    },
    referrers: {
      type: "boolean",
      description: "Also copy signatures and other referrers",
    },
    ...writeArgs,
  },
  run: ({ src, dst, parts, plain, layout, ...options }, context) =>
    copyModel(context, {
      source: src,
      target: dst,
      ...options,
      layout: oneLayout({ layout, parts, plain }),
    }),
  text: pushReport,
  digest: ({ model }) => model.digest,
});
