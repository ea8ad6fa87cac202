import { defineCommand } from "../cli/command.ts";
import { waitForWeights } from "../model/pull/wait.ts";
import { waitReport } from "../ui/wait-report.ts";

/**
 * Reports the digest that is ready (`WaitReport`). Throws `conflict` where the pull failed, `not_found` when it is
 * late.
 */
export const command = defineCommand({
  meta: {
    name: "wait",
    description: "Wait until a pull into a directory is complete",
    example: [
      "ocibundle wait /models/src/weights",
      "ocibundle wait /models/src/weights --timeout 1s",
    ],
  },
  args: {
    dir: {
      type: "positional",
      description: "Directory with the .cog markers: the one that all weights share",
    },
    timeout: {
      type: "duration",
      valueHint: "D",
      description: "Fail if the pull is not complete after this time (default: wait forever)",
    },
  },
  async run({ dir, timeout }, context) {
    return { shownDir: dir, report: await waitForWeights(context, { dir, timeout }) };
  },
  text: ({ shownDir, report }, view) => waitReport({ ...report, shownDir }, view),
  json: ({ report }) => report,
  digest: ({ report }) => report.digest,
});
