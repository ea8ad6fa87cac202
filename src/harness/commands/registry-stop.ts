import { defineCommand } from "../../cli/command.ts";
import { stopRegistry } from "../registry/instance/stop.ts";

/** Prints `unset TEST_REGISTRY` for a shell to evaluate; `registry` is null where none was running. */
export const command = defineCommand({
  meta: {
    name: "registry-stop",
    description: "Stop the test registry of the working directory and delete its content",
    example: 'eval "$(ocibundle registry-stop)"',
    hidden: true,
  },
  args: {},
  async run(_, context) {
    const stopped = await stopRegistry(context);
    if (stopped === undefined && !context.flags.quiet && !context.flags.json) {
      context.stderr("no registry is running for this directory\n");
    }
    return { registry: stopped === undefined ? null : `127.0.0.1:${stopped.port}` };
  },
  text: ({ registry }) => (registry === null ? "" : "unset TEST_REGISTRY\n"),
});
