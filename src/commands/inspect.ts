import { defineCommand } from "../cli/command.ts";
import { viewOf } from "../cli/print-result.ts";
import { OcibundleError } from "../errors.ts";
import { inspectRaw, inspectSource } from "../model/jobs/inspect.ts";
import { lockTree, modelTree } from "../ui/model-tree.ts";

export const command = defineCommand({
  meta: {
    name: "inspect",
    description: "Show what a reference, a layout, an archive or a lock holds",
    example: [
      "ocibundle inspect registry.example.com/acme/llama:v1",
      "ocibundle inspect oci:./model --json",
      "ocibundle inspect weights.lock",
    ],
  },
  args: {
    src: {
      type: "positional",
      description: "A registry reference, oci:DIR[:TAG], oci-archive:FILE[:TAG] or a lock file",
    },
    raw: { type: "boolean", description: "Write the exact bytes of the manifest, index or lock" },
  },
  async run({ src, raw }, context) {
    if (raw && context.flags.json) {
      throw new OcibundleError("usage", "--raw and --json exclude each other", {
        hint: "--raw writes the bytes as they are stored; --json describes them",
      });
    }
    if (raw) {
      context.stdout(await inspectRaw(context, src));
      return;
    }
    const found = await inspectSource(context, src);
    const view = viewOf(context);
    if (context.flags.json) context.stdout(`${JSON.stringify(found, null, 2)}\n`);
    else context.stdout(found.type === "lock" ? lockTree(found, view) : modelTree(found, view));
  },
});
