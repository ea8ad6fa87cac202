import { defineCommand } from "../cli/command.ts";
import { copyModel } from "../model/jobs/copy.ts";
import { printResult, viewOf } from "../cli/print-result.ts";
import { pushReport } from "../ui/push-report.ts";

export const command = defineCommand({
  meta: {
    name: "copy",
    description: "Copy a whole model between registries, layouts and archives",
    example: [
      "ocibundle copy registry.example.com/acme/llama:v1 mirror.example.com/acme/llama:v1",
      "ocibundle copy registry.example.com/acme/llama:v1 oci-archive:llama.tar:v1",
    ],
  },
  args: {
    src: {
      type: "positional",
      description: "A registry reference, oci:DIR[:TAG] or oci-archive:FILE[:TAG]",
    },
    dst: { type: "positional", description: "Where to: the same forms" },
    platform: {
      type: "string",
      valueHint: "OS/ARCH",
      description: "Only the image of this platform, with the weights",
    },
    layout: {
      type: "string",
      valueHint: "bundle|bundle-1|cog|modelpack|image",
      description: "Convert the weights to this layout on the way",
    },
    referrers: {
      type: "boolean",
      description: "Also signatures and whatever else refers to what is copied",
    },
    checkBlobs: {
      type: "boolean",
      description: "Ask the registry for every blob, even if it has the manifest",
    },
    dryRun: {
      type: "boolean",
      alias: "n",
      description: "Only say what would be sent and what is there already",
    },
  },
  async run({ src, dst, platform, layout, referrers, checkBlobs, dryRun }, context) {
    const result = await copyModel(context, {
      source: src,
      target: dst,
      platform,
      layout,
      referrers,
      dryRun,
      checkBlobs,
    });
    printResult(context, result, result.model.digest, () => pushReport(result, viewOf(context)));
  },
});
