import { defineCommand } from "../cli/command.ts";
import { attachFile } from "../model/jobs/attach.ts";
import { attachReport } from "../ui/attach-report.ts";

/** Reports what was attached (`Attached`); `--quiet` prints the digest of the new manifest. */
export const command = defineCommand({
  meta: {
    name: "attach",
    description: "Attach a file, such as an SBOM, to a manifest",
    example:
      "ocibundle attach registry.example.com/acme/llama:v1 sbom.json --type application/spdx+json",
  },
  args: {
    ref: { type: "positional", description: "Registry reference with a tag or digest" },
    file: { type: "positional", description: "File to attach" },
    type: {
      type: "string",
      required: true,
      valueHint: "TYPE",
      description: "Artifact type, such as application/spdx+json",
    },
  },
  run: ({ ref, file, type }, context) => attachFile(context, { reference: ref, file, type }),
  text: attachReport,
  digest: ({ digest }) => digest,
});
