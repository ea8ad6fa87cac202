import { readFileSync } from "node:fs";

/**
 * The most that a process ever had resident (VmHWM), in bytes; undefined once it is gone, and where there
 * is no /proc.
 */
export function peakMemory(pid: number): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
  } catch {
    return undefined;
  }
}
