import { defineCommand } from "../cli/command.ts";
import { setTags } from "../model/jobs/tag.ts";
import { tagReport } from "../ui/tag-report.ts";

export const command = defineCommand({
  meta: {
    name: "tag",
    description: "Set further tags on what a reference stands for",
    example: [
      "ocibundle tag registry.example.com/acme/llama:v1 latest stable",
      "ocibundle tag registry.example.com/acme/llama:v1 latest --dry-run",
    ],
  },
  args: {
    src: {
      type: "positional",
      valueHint: "REF",
      description: "A registry reference, by tag or by digest",
    },
    tag: {
      type: "rest",
      required: true,
      description: "Tags of the same repository, created or moved",
    },
    dryRun: {
      type: "boolean",
      alias: "n",
      description: "Show what would change, and change nothing",
    },
  },
  run: ({ src, tag, dryRun }, context) => setTags(context, { source: src, tags: tag, dryRun }),
  text: tagReport,
  digest: ({ digest }) => digest,
});
