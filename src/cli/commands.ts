import { commandTable } from "./command.ts";
import type { CommandTable } from "./command.ts";

/** Every command by its name, each loaded when it is asked for. Hidden ones come last. */
export const commands: CommandTable = commandTable({
  lock: async () => (await import("../commands/lock.ts")).command,
  build: async () => (await import("../commands/build.ts")).command,
  push: async () => (await import("../commands/push.ts")).command,
  pull: async () => (await import("../commands/pull.ts")).command,
  inspect: async () => (await import("../commands/inspect.ts")).command,
  verify: async () => (await import("../commands/verify.ts")).command,
  diff: async () => (await import("../commands/diff.ts")).command,
  copy: async () => (await import("../commands/copy.ts")).command,
  cache: async () => (await import("../commands/cache.ts")).command,
  doctor: async () => (await import("../commands/doctor.ts")).command,
  login: async () => (await import("../commands/login.ts")).command,
  logout: async () => (await import("../commands/logout.ts")).command,
  completions: async () => (await import("../commands/completions.ts")).completionsOf(commands),

  "registry-start": async () => (await import("../commands/harness/registry-start.ts")).command,
  "registry-stop": async () => (await import("../commands/harness/registry-stop.ts")).command,
  "registry-inspect": async () => (await import("../commands/harness/registry-inspect.ts")).command,
  "docker-push": async () => (await import("../commands/harness/docker-push.ts")).command,
  "mock-weights": async () => (await import("../commands/harness/mock-weights.ts")).command,
});
