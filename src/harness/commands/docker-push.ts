import { defineCommand } from "../../cli/command.ts";
import { OcibundleError } from "../../errors.ts";
import { pushModel } from "../../model/jobs/push.ts";
import { pushReport } from "../../ui/push-report.ts";

/** Pushes an image to the registry of TEST_REGISTRY without weights. Throws `usage` where that is not set. */
export const command = defineCommand({
  meta: {
    name: "docker-push",
    description: "Push an image of the local engine to $TEST_REGISTRY",
    example: "ocibundle docker-push llama:dev acme/llama:v1",
    hidden: true,
  },
  args: {
    image: { type: "positional", description: "Image name in the engine, or any source" },
    repo: { type: "positional", description: "REPO:TAG on $TEST_REGISTRY" },
  },
  async run({ image, repo }, context) {
    const host = context.env["TEST_REGISTRY"];
    if (host === undefined || host === "") {
      throw new OcibundleError("usage", "TEST_REGISTRY is not set", {
        hint: 'start a registry first: eval "$(ocibundle registry-start)"',
      });
    }
    return pushModel(context, {
      reference: `${host}/${repo}`,
      image,
      platform: undefined,
      weights: [],
      file: [],
      lock: undefined,
      weightsFrom: undefined,
      tagWeights: undefined,
      format: "standalone",
      dryRun: false,
    });
  },
  text: pushReport,
});
