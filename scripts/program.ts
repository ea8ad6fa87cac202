import { join, resolve } from "node:path";

/** The command line that starts ocibundle: the binary that OCIBUNDLE_BINARY names, or the sources. */
export function program(): [string, ...string[]] {
  const binary = process.env["OCIBUNDLE_BINARY"];
  if (binary) return [resolve(binary)];
  return [process.execPath, join(import.meta.dir, "../src/main.ts")];
}
