import { defineCommand } from "../cli/command.ts";
import { attachFile } from "../model/jobs/attach.ts";
import { attachReport } from "../ui/attach-report.ts";

export const command = defineCommand({
  meta: {
    name: "attach",
    description: "Attach a file to a manifest, as an artifact that refers to it",
    example:
      "ocibundle attach registry.example.com/acme/llama:v1 sbom.json --type application/spdx+json",
  },
  args: {
    ref: { type: "positional", description: "A registry reference, by tag or by digest" },
    file: { type: "positional", description: "The file" },
    type: {
      type: "string",
      required: true,
      valueHint: "TYPE",
      description: "The artifact type, as application/spdx+json",
    },
  },
  run: ({ ref, file, type }, context) => attachFile(context, { reference: ref, file, type }),
  text: attachReport,
  digest: ({ digest }) => digest,
});
