import { defineCommand } from "../cli/command.ts";
import { setTags } from "../model/jobs/tag.ts";
import { tagReport } from "../ui/tag-report.ts";

/** Reports which tags were created, moved, and unchanged (`TagResult`); `--quiet` prints the digest. */
export const command = defineCommand({
  meta: {
    name: "tag",
    description: "Create or move tags of an existing manifest",
    example: [
      "ocibundle tag registry.example.com/acme/llama:v1 latest stable",
      "ocibundle tag registry.example.com/acme/llama:v1 latest --dry-run",
    ],
  },
  args: {
    src: {
      type: "positional",
      valueHint: "REF",
      description: "Registry reference with a tag or digest",
    },
    tag: {
      type: "rest",
      required: true,
      description: "Tags in the same repository to create or move",
    },
    dryRun: {
      type: "boolean",
      alias: "n",
      description: "Show what would change without changing it",
    },
  },
  run: ({ src, tag, dryRun }, context) => setTags(context, { source: src, tags: tag, dryRun }),
  text: tagReport,
  digest: ({ digest }) => digest,
});
