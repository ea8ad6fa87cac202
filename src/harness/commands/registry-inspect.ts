import { defineCommand } from "../../cli/command.ts";
import { json } from "../../cli/print-report.ts";
import { registryInspect } from "../registry-inspect.ts";

/** Prints as JSON what a registry has of a reference, with `--json` or without. */
export const command = defineCommand({
  meta: {
    name: "registry-inspect",
    description: "Print the manifest of a reference as JSON, for scripted tests",
    example: 'ocibundle registry-inspect "$TEST_REGISTRY/acme/llama:v1"',
    hidden: true,
  },
  args: {
    ref: {
      type: "positional",
      description: "Reference, or REPO:TAG on $TEST_REGISTRY",
    },
  },
  run: ({ ref }, context) => registryInspect(context, ref),
  text: json,
});
