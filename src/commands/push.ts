import { defineCommand } from "../cli/command.ts";
import { modelArgs, oneLayout, writeArgs } from "./model-args.ts";
import { pushLayouts } from "../model/jobs/push-layouts.ts";
import { pushReport } from "../ui/push-report.ts";

/** Reports one `PublishReport` for each layout that is pushed; `--json` has `pushes` where there are several. */
export const command = defineCommand({
  meta: {
    name: "push",
    description: "Push weights, an image, or both to a registry, under one tag",
    example: [
      "ocibundle push registry.example.com/acme/llama:v1 ./weights",
      "ocibundle push registry.example.com/acme/llama:v1 hf://ORG/MODEL",
      "ocibundle push registry.example.com/acme/llama:v1 --image llama:dev --weights ./weights",
      "ocibundle push registry.example.com/acme/llama-weights:v1 --weights ./weights",
    ],
  },
  args: {
    ref: {
      type: "positional",
      required: false,
      description: "Registry reference to push to (default: the image of the project file)",
    },
    path: {
      type: "rest",
      description: "Weight files, directories, hf://, s3:// or https:// sources to push",
    },
    ...modelArgs,
    allowIncomplete: {
      type: "boolean",
      description: "Accept Git LFS pointers and truncated files",
    },
    updateLock: {
      type: "boolean",
      description: "Update the lock if it differs from PATH",
    },
    noLock: { type: "boolean", description: "Do not read or write a lock for PATH" },
    tag: {
      type: "string",
      alias: "t",
      multiple: true,
      valueHint: "TAG",
      description: "Also set this tag in the same repository",
    },
    tagWeights: {
      type: "string",
      valueHint: "TAG",
      description: "Also tag the weights artifact, so that cleanup of untagged manifests keeps it",
    },
    base: {
      type: "string",
      valueHint: "REF",
      description:
        "With --parts, share parts with this version (default: the current version of the tag)",
    },
    cogLock: {
      type: "string",
      valueHint: "FILE",
      description: "With --layout cog, also write Cog's own lock to this file",
    },
    ...writeArgs,
  },
  async run({ ref, path, noLock, parts, layout, tag: tags, ...rest }, context) {
    return pushLayouts(context, {
      reference: ref,
      paths: path,
      writeLock: !noLock,
      tags,
      ...rest,
      layout: oneLayout({ layout, parts }),
    });
  },
  text: (results, view) => results.map((result) => pushReport(result, view)).join(""),
  json: (results) => (results.length === 1 && results[0] ? results[0] : { pushes: results }),
  digest: (results) => results.map(({ model }) => model.digest).join("\n"),
});
