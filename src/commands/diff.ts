import { defineCommand } from "../cli/command.ts";
import { viewOf } from "../cli/print-result.ts";
import { diffModels } from "../model/jobs/diff.ts";
import { diffTree } from "../ui/diff-tree.ts";

export const command = defineCommand({
  meta: {
    name: "diff",
    description: "Show which weights two models share, and what moving from one to the other costs",
    example: [
      "ocibundle diff registry.example.com/acme/llama:v1 registry.example.com/acme/llama:v2",
      "ocibundle diff weights.lock registry.example.com/acme/llama:v2 --json",
    ],
  },
  args: {
    a: { type: "positional", description: "A reference, a layout, an archive or a lock" },
    b: { type: "positional", description: "Another one" },
  },
  async run({ a, b }, context) {
    const diff = await diffModels(context, a, b);
    context.stdout(
      context.flags.json ? `${JSON.stringify(diff, null, 2)}\n` : diffTree(diff, viewOf(context)),
    );
  },
});
