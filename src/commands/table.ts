import { commandTable } from "../cli/command.ts";
import type { CommandTable } from "../cli/command.ts";

/** Every command by its name, each loaded when it is asked for. Hidden ones come last. */
export const commands: CommandTable = commandTable({
  lock: async () => (await import("./lock.ts")).command,
  build: async () => (await import("./build.ts")).command,
  push: async () => (await import("./push.ts")).command,
  pull: async () => (await import("./pull.ts")).command,
  serve: async () => (await import("./serve.ts")).command,
  wait: async () => (await import("./wait.ts")).command,
  inspect: async () => (await import("./inspect.ts")).command,
  verify: async () => (await import("./verify.ts")).command,
  diff: async () => (await import("./diff.ts")).command,
  copy: async () => (await import("./copy.ts")).command,
  ls: async () => (await import("./ls.ts")).command,
  tag: async () => (await import("./tag.ts")).command,
  rm: async () => (await import("./rm.ts")).command,
  prune: async () => (await import("./prune.ts")).command,
  attach: async () => (await import("./attach.ts")).command,
  referrers: async () => (await import("./referrers.ts")).command,
  sign: async () => (await import("./sign.ts")).command,
  "generate-key-pair": async () => (await import("./generate-key-pair.ts")).command,
  cache: async () => (await import("./cache.ts")).command,
  report: async () => (await import("./report.ts")).command,
  doctor: async () => (await import("./doctor.ts")).command,
  login: async () => (await import("./login.ts")).command,
  logout: async () => (await import("./logout.ts")).command,
  completions: async () => (await import("./completions.ts")).completionsOf(commands),

  "registry-start": async () => (await import("../harness/commands/registry-start.ts")).command,
  "registry-stop": async () => (await import("../harness/commands/registry-stop.ts")).command,
  "registry-inspect": async () => (await import("../harness/commands/registry-inspect.ts")).command,
  "docker-push": async () => (await import("../harness/commands/docker-push.ts")).command,
  "mock-weights": async () => (await import("../harness/commands/mock-weights.ts")).command,
});
