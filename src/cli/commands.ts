import { commandTable } from "./command.ts";

/** Every command by its name, each loaded when it is asked for. Hidden ones come last. */
export const commands = commandTable({
  build: async () => (await import("../commands/build.ts")).command,
  push: async () => (await import("../commands/push.ts")).command,
  inspect: async () => (await import("../commands/inspect.ts")).command,
  cache: async () => (await import("../commands/cache.ts")).command,
  "registry-inspect": async () => (await import("../commands/harness/registry-inspect.ts")).command,
  "docker-push": async () => (await import("../commands/harness/docker-push.ts")).command,
});
