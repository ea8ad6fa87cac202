import { resolve } from "node:path";
import { defineCommand, type ReportFormat } from "../cli/command.ts";
import { printReport } from "../cli/print-report.ts";
import { OcibundleError } from "../errors.ts";
import { firstGiven } from "../model/jobs/first-given.ts";
import { hubModelDirectory } from "../model/pull/hub-model-directory.ts";
import { refuseStandardOutput } from "../model/places/standard-output.ts";
import { holdDirectory } from "../model/pull/hold.ts";
import { pullWeights } from "../model/pull/pull.ts";
import { planWeights } from "../model/pull/dry-run.ts";
import { pullImage } from "../model/pull/pull-image.ts";
import { linkModes } from "../model/session/link-mode.ts";
import type { PulledImage, PullPlanReport, PullReport } from "../report/pull.ts";
import { pullPlanReport } from "../ui/pull-plan-report.ts";
import { imageReport, pullReport } from "../ui/pull-report.ts";
import { requiredSigner, signerArgs } from "./signer-args.ts";

interface Pulled {
  name: string;
  /** The directory as it was named. */
  output: string;
  weights: PullReport | undefined;
  /** With `--dry-run`, in place of the others. */
  plan?: PullPlanReport;
  image: PulledImage | undefined;
}

const format: ReportFormat<Pulled> = {
  text: ({ name, output, weights, plan, image }, view) =>
    (plan === undefined ? "" : pullPlanReport({ ...plan, shownDir: output }, view)) +
    (image === undefined ? "" : imageReport(name, image, view)) +
    (weights === undefined ? "" : pullReport({ ...weights, shownDir: output }, view)),
  json: ({ name, weights, plan, image }) => ({
    name,
    ...weights,
    ...plan,
    ...(image === undefined ? {} : { image }),
  }),
  digest: ({ weights, plan, image }) => plan?.digest ?? weights?.digest ?? image?.digest ?? "",
};

/** Reports weights, image, or both; `--quiet` prints the digest of the weights, or of an image that is alone. */
export const command = defineCommand({
  meta: {
    name: "pull",
    description: "Pull the weights of a model into a directory; with --image, its image",
    example: [
      "ocibundle pull registry.example.com/acme/llama:v1 -o /models/llama",
      'ocibundle pull registry.example.com/acme/llama:v1 --only "*.safetensors"',
      "ocibundle pull registry.example.com/acme/llama:v1 --image docker-daemon:llama:v1",
      "ocibundle pull registry.example.com/acme/llama:v1 /models/llama --dry-run",
      "ocibundle pull registry.example.com/acme/llama:v1 --hf-cache acme/llama",
    ],
  },
  args: {
    ref: {
      type: "positional",
      description: "Registry reference, oci:DIR[:TAG] or oci-archive:FILE[:TAG]",
    },
    dir: {
      type: "positional",
      required: false,
      description: "Directory to pull into (same as --output)",
    },
    output: {
      type: "string",
      alias: "o",
      valueHint: "DIR",
      description: "Directory to pull into (default: the current directory)",
    },
    only: {
      type: "string",
      multiple: true,
      valueHint: "GLOB",
      description: "Pull only files whose name or path matches this pattern",
    },
    path: {
      type: "string",
      valueHint: "PATH",
      description: "Pull the files in this directory of an image, such as /models",
    },
    image: {
      type: "string",
      valueHint: "TARGET",
      description:
        "Pull the image to oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-daemon:NAME:TAG; with -o, also the weights",
    },
    platform: {
      type: "string",
      valueHint: "OS/ARCH",
      description: "Platform of the image to pull (default: the platform of this machine)",
    },
    hfCache: {
      type: "string",
      valueHint: "ORG/MODEL",
      description: "Pull into the Hugging Face cache, under this model ID",
    },
    link: {
      type: "enum",
      options: linkModes,
      description: "Method to place files from the cache (default: auto)",
    },
    sync: {
      type: "boolean",
      description: "Replace the previous version and remove files that the new one lacks",
    },
    hold: {
      type: "boolean",
      description: "Keep running after a successful pull until SIGTERM, for sidecars",
    },
    force: { type: "boolean", description: "Replace files whose content differs" },
    dryRun: {
      type: "boolean",
      alias: "n",
      description: "Show what would be downloaded without writing anything",
    },
    seed: {
      type: "string",
      multiple: true,
      valueHint: "PATH",
      description: "Reuse parts found in this file or directory instead of downloading them",
    },
    check: {
      type: "string",
      valueHint: "whole",
      description: "With whole, also verify the digest of each file assembled from parts",
    },
    cache: {
      type: "boolean",
      default: true,
      description: "Use the local cache",
    },
    requireSignature: {
      type: "string",
      valueHint: "KEY|NAME",
      description: "Require a valid signature by this public key or identity",
    },
    certificateOidcIssuer: signerArgs.certificateOidcIssuer,
    trustedRoot: signerArgs.trustedRoot,
  },
  async run(args, context) {
    const { ref, dir, output: named, only, path, image, platform } = args;
    const { hfCache, link, sync, hold, force, seed: seeds, check, cache, dryRun } = args;
    if (check !== undefined && check !== "whole") {
      throw new OcibundleError("usage", `--check must be whole, not "${check}"`, {
        hint: "use --check whole",
      });
    }
    if (dir !== undefined && named !== undefined) {
      throw new OcibundleError("usage", "DIR and --output cannot be used together", {
        hint: "remove one of them",
      });
    }
    refuseStandardOutput(dir ?? named, "the files of a model");
    const requires = requiredSigner(args);
    if (sync && hfCache !== undefined) {
      throw new OcibundleError("usage", "--sync and --hf-cache cannot be used together", {
        hint: "omit --sync: the Hugging Face cache keeps each version as a separate snapshot",
      });
    }
    const output =
      hfCache === undefined ? (dir ?? named) : hubModelDirectory(hfCache, dir ?? named, context);
    const withWeights = image === undefined || output !== undefined;
    if (platform !== undefined && image === undefined) {
      throw new OcibundleError("usage", "--platform needs --image", {
        hint: "add --image, or omit --platform: weights are the same for every platform",
      });
    }
    const ofWeights = firstGiven({
      "--force": force,
      "--only": only,
      "--seed": seeds,
      "--sync": sync,
      "--link": link,
      "--path": path,
      "--check": check,
    });
    if (!withWeights && ofWeights !== undefined) {
      throw new OcibundleError(
        "usage",
        `${ofWeights} applies to weights, but only the image is pulled`,
        { hint: "add -o DIR to pull the weights too" },
      );
    }
    const request = {
      source: ref,
      output: output ?? ".",
      only,
      path,
      force,
      seeds,
      checkWhole: check === "whole",
      useCache: cache,
      requires,
      hubId: hfCache,
      sync,
      link,
    };
    if (dryRun) {
      const other = image !== undefined ? "--image" : hold ? "--hold" : undefined;
      if (other !== undefined) {
        throw new OcibundleError("usage", `--dry-run and ${other} cannot be used together`, {
          hint: `omit ${other}: a dry run of weights writes nothing and ends`,
        });
      }
      const plan = await planWeights(context, request);
      return { name: ref, output: request.output, weights: undefined, image: undefined, plan };
    }
    const pulled =
      image === undefined
        ? undefined
        : await pullImage(context, { source: ref, target: image, platform, requires });
    const weights = withWeights ? await pullWeights(context, request) : undefined;
    const report = { name: ref, output: request.output, weights, image: pulled };
    if (!hold) return report;
    printReport(format, report, context);
    await holdDirectory(context, resolve(context.cwd, report.output));
    return undefined;
  },
  ...format,
});
