import { defineCommand } from "../cli/command.ts";
import { viewOf } from "../cli/print-result.ts";
import { diffModels } from "../model/jobs/diff.ts";
import { diffTree } from "../ui/diff-tree.ts";

export const command = defineCommand({
  meta: {
    name: "diff",
    description: "Compare two models and show what an update has to download",
    example: [
      "ocibundle diff registry.example.com/acme/llama:v1 registry.example.com/acme/llama:v2",
      "ocibundle diff weights.lock registry.example.com/acme/llama:v2 --json",
    ],
  },
  args: {
    a: { type: "positional", description: "Registry reference, layout, archive or lock file" },
    b: { type: "positional", description: "Model to compare with, in the same forms" },
  },
  async run({ a, b }, context) {
    const diff = await diffModels(context, a, b);
    context.stdout(
      context.flags.json ? `${JSON.stringify(diff, null, 2)}\n` : diffTree(diff, viewOf(context)),
    );
  },
});
