import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";

/**
 * What to tell who gave a bare name that nobody knows while something of that name lies in the working
 * folder: sources in files are named with what they are. Undefined when nothing does.
 */
export async function localPathHint(text: string, cwd: string): Promise<string | undefined> {
  const path = resolve(cwd, text);
  const taken = `"${text}" was taken for a name on a registry`;
  if (await isThere(join(path, "oci-layout"))) return `${taken}; the layout here is oci:${text}`;
  const untagged = resolve(cwd, text.replace(/:[^:]*$/, ""));
  if (await isThere(join(untagged, "oci-layout")))
    return `${taken}; the layout here is oci:${text}`;
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isDirectory()) return `${taken}, not for the folder here`;
  if (stats?.isFile()) {
    return `${taken}; an archive here is oci-archive:${text} or docker-archive:${text}`;
  }
  return undefined;
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
