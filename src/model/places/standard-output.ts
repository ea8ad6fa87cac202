import { OcibundleError } from "../../errors.ts";

/** The path that stands for standard output, where a command can write there. */
export const standardOutput = "-";

/**
 * Refuses the path that stands for standard output, which would become the name of a file. `what`: "a lock". Throws
 * `usage`.
 */
export function refuseStandardOutput(path: string | undefined, what: string): void {
  if (path !== standardOutput) return;
  throw new OcibundleError("usage", `${what} cannot be written to standard output`, {
    hint: 'use another name; for one that is named "-", use ./-',
  });
}
