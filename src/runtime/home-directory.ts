import { homedir } from "node:os";

/**
 * The user's home directory, or undefined where there is none: a container may run as any user, without a
 * `HOME` and without an entry for the user.
 */
export function homeDirectory(
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const named = env["HOME"] || env["USERPROFILE"];
  if (named) return named;
  try {
    return homedir() || undefined;
  } catch {
    return undefined;
  }
}
