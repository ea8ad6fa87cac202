import { defineCommand } from "../cli/command.ts";
import { diffModels } from "../model/jobs/diff.ts";
import { diffTree } from "../ui/diff-tree.ts";

/** Reports a `ModelDiff`. Models that differ are no failure: the exit code is 0. */
export const command = defineCommand({
  meta: {
    name: "diff",
    description: "Compare two models and show how much an update downloads",
    example: [
      "ocibundle diff registry.example.com/acme/llama:v1 registry.example.com/acme/llama:v2",
      "ocibundle diff registry.example.com/acme/llama:v1 registry.example.com/acme/llama:v2 -v",
      "ocibundle diff weights.lock registry.example.com/acme/llama:v2 --json",
    ],
  },
  args: {
    a: {
      type: "positional",
      valueHint: "SOURCE",
      description: "Registry reference, layout, archive or lock file",
    },
    b: {
      type: "positional",
      valueHint: "SOURCE",
      description: "Model to compare with, in the same forms",
    },
  },
  // Looked up only where details are wanted: it takes requests of its own.
  run: ({ a, b }, context) => diffModels(context, a, b, { tensors: context.flags.verbose }),
  text: diffTree,
});
