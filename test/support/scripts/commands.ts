import { hubCommands } from "./hub-commands.ts";
import { fileCommands } from "./file-commands.ts";
import { imageCommands } from "./image-commands.ts";
import { kubernetesCommands } from "./kubernetes-commands.ts";
import { jsonCommands } from "./json-commands.ts";
import { processCommands } from "./process-commands.ts";
import { SkipScript, StopScript } from "./state.ts";
import type { CommandCall, ScriptCommand } from "./state.ts";

/** Every command of the script language, by its name. */
export const scriptCommands: Readonly<Record<string, ScriptCommand>> = Object.assign(
  Object.create(null) as Record<string, never>,
  {
    ...fileCommands,
    ...processCommands,
    ...imageCommands,
    ...kubernetesCommands,
    ...jsonCommands,
    ...hubCommands,
    env({ args, state }: CommandCall) {
      for (const assignment of args) {
        const split = assignment.indexOf("=");
        if (split < 1) throw new Error(`"${assignment}" is not NAME=VALUE`);
        state.env[assignment.slice(0, split)] = assignment.slice(split + 1);
      }
    },
    unsetenv({ args, state }: CommandCall) {
      for (const name of args) delete state.env[name];
    },
    skip({ args }: CommandCall) {
      throw new SkipScript(args.join(" "));
    },
    stop() {
      throw new StopScript();
    },
  } satisfies Record<string, ScriptCommand>,
);
