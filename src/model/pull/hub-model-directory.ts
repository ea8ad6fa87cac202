import { isAbsolute, join, resolve } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { homeDirectory } from "../../runtime/home-directory.ts";
import { hubDirectoryName } from "../format/hub-revision.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Where huggingface_hub has its cache (`huggingface_hub/constants.py`). Throws `file` where no home is known. */
function hubCache(env: Environment, cwd: string): string {
  const home = homeDirectory(env);
  const expanded = (path: string): string =>
    resolve(cwd, home !== undefined && /^~(?:\/|$)/.test(path) ? join(home, path.slice(1)) : path);
  const named = env["HF_HUB_CACHE"] || env["HUGGINGFACE_HUB_CACHE"];
  if (named) return expanded(named);
  const hubHome = env["HF_HOME"];
  if (hubHome) return join(expanded(hubHome), "hub");
  const xdg = env["XDG_CACHE_HOME"];
  if (xdg) return join(expanded(xdg), "huggingface", "hub");
  if (!home || !isAbsolute(home)) {
    throw new OcibundleError("file", "no Hugging Face cache: the home directory is unknown", {
      hint: "specify the directory with -o, or set HF_HUB_CACHE",
    });
  }
  return join(home, ".cache", "huggingface", "hub");
}

/**
 * The directory of a model in a hub's cache: below `named` where that is given, else absolute. Throws `usage` for
 * what is no id, `file` where nothing says where the cache is.
 */
export function hubModelDirectory(
  id: string,
  named: string | undefined,
  { env, cwd }: { env: Environment; cwd: string },
): string {
  const name = hubDirectoryName(id);
  return join(named ?? hubCache(env, cwd), name);
}
