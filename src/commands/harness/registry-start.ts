import { defineCommand } from "../../cli/command.ts";
import type { InstanceRecord } from "../../server/instance/record.ts";
import { runInForeground, startInBackground } from "../../server/instance/start.ts";

export const command = defineCommand({
  meta: {
    name: "registry-start",
    description: "Start a registry on 127.0.0.1 for the working folder, or find the one that runs",
    example: [
      'eval "$(ocibundle registry-start)"',
      "ocibundle registry-start --foreground --port 5000 --storage ./registry",
    ],
    hidden: true,
  },
  args: {
    foreground: { type: "boolean", description: "Run in this process until it is interrupted" },
    port: {
      type: "number",
      max: 65535,
      description: "The port to listen on; any free one unless given",
    },
    storage: {
      type: "string",
      valueHint: "DIR",
      description: "Keep content there; a temporary folder, removed at the end, unless given",
    },
    idleTimeout: {
      type: "duration",
      description:
        "End after so long without a request, 0 for never (default: 10m in the background)",
    },
  },
  async run({ foreground, ...options }, context) {
    const show = (record: InstanceRecord): void => {
      const registry = `127.0.0.1:${record.port}`;
      const { pid, storage } = record;
      context.stdout(
        context.flags.json
          ? `${JSON.stringify({ registry, pid, storage }, null, 2)}\n`
          : `export TEST_REGISTRY=${registry}\n`,
      );
    };
    if (foreground) await runInForeground(options, context, show);
    else show(await startInBackground(options, context));
  },
});
