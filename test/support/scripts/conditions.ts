import { canRunContainers } from "./kubernetes-commands.ts";
import type { ScriptState } from "./state.ts";

/** Whether a condition of a script line holds: a platform, `root`, `containers`, `compiled`, `exec:NAME`. Throws on any other. */
export function holds(name: string, state: ScriptState): boolean {
  if (name.startsWith("exec:")) {
    return Bun.which(name.slice("exec:".length), { PATH: state.env["PATH"] ?? "" }) !== null;
  }
  if (name === "unix") return process.platform !== "win32";
  if (name === "linux" || name === "darwin") return process.platform === name;
  if (name === "windows") return process.platform === "win32";
  if (name === "root") return process.getuid?.() === 0;
  if (name === "containers") return canRunContainers();
  if (name === "compiled") return state.program.length === 1;
  throw new Error(`there is no condition "${name}"`);
}
