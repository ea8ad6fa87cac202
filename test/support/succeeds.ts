import { spawnSync } from "node:child_process";

/** Whether a program of this machine is there and exits with 0. */
export const succeeds = (command: string, ...args: string[]): boolean =>
  spawnSync(command, args, { stdio: "ignore" }).status === 0;
