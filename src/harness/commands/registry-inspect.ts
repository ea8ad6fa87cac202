import { defineCommand } from "../../cli/command.ts";
import { registryInspect } from "../registry-inspect.ts";

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
  async run({ ref }, context) {
    context.stdout(`${JSON.stringify(await registryInspect(context, ref), null, 2)}\n`);
  },
});
