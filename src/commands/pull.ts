import { defineCommand } from "../cli/command.ts";
import { pullWeights } from "../model/pull.ts";
import { pullReport } from "../ui/pull-report.ts";

export const command = defineCommand({
  meta: {
    name: "pull",
    description: "Fetch the weights of a model to their dest paths below a folder",
    example: [
      "ocibundle pull registry.example.com/acme/llama:v1 -o /models/llama",
      'ocibundle pull registry.example.com/acme/llama:v1 --only "*.safetensors"',
    ],
  },
  args: {
    ref: {
      type: "positional",
      description: "A registry reference, oci:DIR[:TAG] or oci-archive:FILE[:TAG]",
    },
    output: {
      type: "string",
      alias: "o",
      valueHint: "DIR",
      default: ".",
      description: "The folder that the dests go under",
    },
    only: {
      type: "string",
      multiple: true,
      valueHint: "GLOB",
      description: "Only files whose name or dest matches; repeatable",
    },
    force: { type: "boolean", description: "Replace files that have other content" },
    cache: {
      type: "boolean",
      default: true,
      description: "Keep what is fetched in the cache, and take from it what is there",
    },
  },
  async run({ ref, output, only, force, cache }, context) {
    const report = await pullWeights(context, {
      source: ref,
      output,
      only,
      force,
      useCache: cache,
    });
    context.stdout(
      context.flags.json ? `${JSON.stringify(report, null, 2)}\n` : pullReport(report),
    );
  },
});
