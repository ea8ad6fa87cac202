import { defineCommand } from "../cli/command.ts";
import { modelArgs } from "./model-args.ts";
import { pushLayouts } from "../model/jobs/push-layouts.ts";
import { printResult, viewOf } from "../cli/print-result.ts";
import { pushReport } from "../ui/push-report.ts";

export const command = defineCommand({
  meta: {
    name: "push",
    description: "Push an image and its weights to a registry, under one tag",
    example: [
      "ocibundle push registry.example.com/acme/llama:v1 ./weights",
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
    path: {
      type: "rest",
      description: "Directories and files of weights: they are locked if they are not, and pushed",
    },
    ...modelArgs,
    allowIncomplete: {
      type: "boolean",
      description: "Lock Git LFS pointers and files that are shorter than their headers say",
    },
    updateLock: {
      type: "boolean",
      description: "Bring a lock that differs from PATH up to date",
    },
    noLock: { type: "boolean", description: "Neither read nor write a lock for PATH" },
    tagWeights: {
      type: "string",
      valueHint: "TAG",
      description:
        "Also tag the weights artifact, so that jobs that remove untagged manifests spare it",
    },
    cogLock: {
      type: "string",
      valueHint: "FILE",
      description: "With --layout cog: also write the lock that Cog itself reads",
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
  async run({ ref, path, noLock, ...parts }, context) {
    const request = { reference: ref, paths: path, writeLock: !noLock, ...parts };
    const results = await pushLayouts(context, request);
    const [result, ...others] = results;
    if (result === undefined) throw new TypeError("a push without a result");
    const digests = results.map(({ model }) => model.digest).join("\n");
    printResult(context, others.length === 0 ? result : { pushes: results }, digests, () =>
      results.map((one) => pushReport(one, viewOf(context))).join(""),
    );
  },
});
