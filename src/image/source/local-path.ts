import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";

/**
 * What to tell who gave a bare name that nobody knows while something of that name lies in the working
 * directory: sources in files are named with what they are. Undefined when nothing does.
 */
export async function localPathHint(text: string, cwd: string): Promise<string | undefined> {
  const path = resolve(cwd, text);
  const taken = `"${text}" was read as a registry reference`;
  if (await isThere(join(path, "oci-layout")))
    return `${taken}; use oci:${text} for the local layout`;
  const untagged = resolve(cwd, text.replace(/:[^:]*$/, ""));
  if (await isThere(join(untagged, "oci-layout")))
    return `${taken}; use oci:${text} for the local layout`;
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isDirectory()) return `${taken}, not as the local directory`;
  if (stats?.isFile()) {
    return `${taken}; use oci-archive:${text} or docker-archive:${text} for the local archive`;
  }
  return undefined;
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
