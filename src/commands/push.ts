import { defineCommand } from "../cli/command.ts";
import { modelArgs } from "./model-args.ts";
import { pushModel } from "../model/jobs/push.ts";
import { printResult } from "../cli/print-result.ts";
import { pushReport } from "../ui/push-report.ts";

export const command = defineCommand({
  meta: {
    name: "push",
    description: "Push an image and its weights to a registry, under one tag",
    example: [
      "ocibundle push registry.example.com/acme/llama:v1 --image llama:dev --weights ./weights",
      "ocibundle push registry.example.com/acme/llama-weights:v1 --weights ./weights",
    ],
  },
  args: {
    ref: {
      type: "positional",
      required: false,
      description: "Where to push to; the project file's image when not given",
    },
    ...modelArgs,
    tagWeights: {
      type: "string",
      valueHint: "TAG",
      description:
        "Also tag the weights artifact, so that jobs that remove untagged manifests spare it",
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
  async run({ ref, ...parts }, context) {
    const result = await pushModel(context, { reference: ref, ...parts });
    printResult(context, result, result.model.digest, () => pushReport(result));
  },
});
