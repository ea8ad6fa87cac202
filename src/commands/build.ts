import { defineCommand } from "../cli/command.ts";
import { modelArgs, oneLayout } from "./model-args.ts";
import { buildModel } from "../model/jobs/build.ts";
import { pushReport } from "../ui/push-report.ts";

/**
 * Reports as a push does (`PublishReport`); `--quiet` prints the model's digest. A layout without a tag gets
 * `latest`.
 */
export const command = defineCommand({
  meta: {
    name: "build",
    description: "Build a model locally as an OCI layout or archive",
    example: "ocibundle build --image llama:dev --weights ./weights -o oci:./model:v1",
  },
  args: {
    ref: {
      type: "positional",
      required: false,
      description: "Reference whose tag to set in the layout",
    },
    ...modelArgs,
    output: {
      type: "string",
      alias: "o",
      required: true,
      valueHint: "oci:DIR[:TAG]|oci-archive:FILE[:TAG]",
      description: "Layout directory or archive file to write",
    },
  },
  run: ({ ref, parts, layout, ...rest }, context) =>
    buildModel(context, { reference: ref, ...rest, layout: oneLayout({ layout, parts }) }),
  text: pushReport,
  digest: ({ model }) => model.digest,
});
