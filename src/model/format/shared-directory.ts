import { posix } from "node:path";

/** The directory that all of these absolute paths lie in, itself absolute: what titles are relative to. */
export function sharedDirectory(dests: readonly string[]): string {
  const [first, ...others] = dests;
  if (first === undefined) return "/";
  let shared = posix.dirname(first).split("/");
  for (const dest of others) {
    const parts = posix.dirname(dest).split("/");
    const differs = shared.findIndex((part, index) => part !== parts[index]);
    if (differs !== -1) shared = shared.slice(0, differs);
  }
  return shared.join("/") || "/";
}

/** A dest relative to the directory that it shares with others. */
export const below = (directory: string, dest: string): string =>
  dest.slice(directory === "/" ? 1 : directory.length + 1);
