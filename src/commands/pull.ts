import { defineCommand } from "../cli/command.ts";
import { OcibundleError } from "../errors.ts";
import { printResult, viewOf } from "../cli/print-result.ts";
import { pullWeights } from "../model/pull/pull.ts";
import { pullImage } from "../model/pull/pull-image.ts";
import { imageReport, pullReport } from "../ui/pull-report.ts";

export const command = defineCommand({
  meta: {
    name: "pull",
    description:
      "Fetch the weights of a model to their dest paths below a folder, its image with --image",
    example: [
      "ocibundle pull registry.example.com/acme/llama:v1 -o /models/llama",
      'ocibundle pull registry.example.com/acme/llama:v1 --only "*.safetensors"',
      "ocibundle pull registry.example.com/acme/llama:v1 --image docker-daemon:llama:v1",
    ],
  },
  args: {
    ref: {
      type: "positional",
      description: "A registry reference, oci:DIR[:TAG] or oci-archive:FILE[:TAG]",
    },
    dir: {
      type: "positional",
      required: false,
      description: "Directory to pull into; the same as --output",
    },
    output: {
      type: "string",
      alias: "o",
      valueHint: "DIR",
      description: "The folder that the dests go under; this one unless given",
    },
    only: {
      type: "string",
      multiple: true,
      valueHint: "GLOB",
      description: "Only files whose name, dest or file name matches; repeatable",
    },
    path: {
      type: "string",
      valueHint: "PATH",
      description: "Pull the files below this directory of an image, as in --path /models",
    },
    image: {
      type: "string",
      valueHint: "TARGET",
      description:
        "Bring the image to oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-daemon:NAME:TAG; the weights too where -o is given",
    },
    platform: {
      type: "string",
      valueHint: "OS/ARCH",
      description: "With --image: which image of several; that of this machine unless given",
    },
    force: { type: "boolean", description: "Replace files that have other content" },
    cache: {
      type: "boolean",
      default: true,
      description: "Keep what is fetched in the cache, and take from it what is there",
    },
  },
  async run({ ref, dir, output: named, only, path, image, platform, force, cache }, context) {
    if (dir !== undefined && named !== undefined) {
      throw new OcibundleError("usage", "DIR and --output exclude each other", {
        hint: "name the directory once",
      });
    }
    const output = dir ?? named;
    const withWeights = image === undefined || output !== undefined;
    if (platform !== undefined && image === undefined) {
      throw new OcibundleError("usage", "--platform chooses an image, and none is asked for", {
        hint: "add --image, or leave --platform out: weights are the same for every platform",
      });
    }
    if (!withWeights && (only.length > 0 || force)) {
      throw new OcibundleError(
        "usage",
        `${force ? "--force" : "--only"} is about the weights, and only the image is asked for`,
        { hint: "name the folder of the weights with -o" },
      );
    }
    const pulled =
      image === undefined
        ? undefined
        : await pullImage(context, { source: ref, target: image, platform });
    const weights = withWeights
      ? await pullWeights(context, {
          source: ref,
          output: output ?? ".",
          only,
          path,
          force,
          useCache: cache,
        })
      : undefined;
    const report = { ...weights, ...(pulled === undefined ? {} : { image: pulled }) };
    const view = viewOf(context);
    const text = (): string =>
      `${pulled === undefined ? "" : imageReport(ref, pulled, view)}${weights === undefined ? "" : pullReport({ ...weights, shownDir: output ?? "." }, view)}`;
    const digest = weights?.digest ?? pulled?.digest ?? "";
    printResult(context, { name: ref, ...report }, digest, text);
  },
});
