import { OcibundleError } from "../../errors.ts";
import type { MaterializeWay } from "../../store/placement/materialize.ts";

/** How a user wants files to come from the cache; see docs/cache.md. */
export const linkModes = ["auto", "reflink", "hardlink", "copy"] as const;
/** How files come from the cache: a value of `--link`. */
export type LinkMode = (typeof linkModes)[number];

const modes: ReadonlySet<string> = new Set(linkModes);

/** Reads a mode; `label` is what it was given by. Throws `usage`. */
function parseLinkMode(text: string, label: string): LinkMode {
  if (modes.has(text)) return text as LinkMode;
  throw new OcibundleError("usage", `"${text}" is not one of ${linkModes.join(", ")}`, {
    subject: label,
  });
}

/**
 * The size from which on a file may become a hard link, in bytes. Below it a copy costs nothing, and small files
 * are those that people edit: a configuration, a tokenizer.
 */
const smallestHardLink = 1024 * 1024;

/** The ways for a file of `size` bytes, in the order in which they are tried. */
export function waysFor(
  mode: LinkMode,
  size: number,
  { noReflinks = false }: { noReflinks?: boolean | undefined } = {},
): readonly MaterializeWay[] {
  const isSmall = size < smallestHardLink;
  if (mode === "copy") return ["copy"];
  if (mode === "reflink") return ["reflink"];
  if (mode === "hardlink") return isSmall ? ["copy"] : ["hard link"];
  const plain: readonly MaterializeWay[] = isSmall ? ["copy"] : ["hard link", "copy"];
  return noReflinks ? plain : ["reflink", ...plain];
}

/** Whether a file takes space beside the cached one, where both are on one disk that may have no reflinks. */
export const takesSpace = (mode: LinkMode, size: number): boolean =>
  mode === "copy" || (mode !== "reflink" && size < smallestHardLink);

/** How files come from the cache: as the flag says, else the environment, else the configuration. Throws `usage`. */
export function linkModeOf(
  {
    env,
    config,
  }: {
    env: Readonly<Record<string, string | undefined>>;
    config: { pull?: { link?: LinkMode | undefined } | undefined };
  },
  { link, useCache }: { link?: LinkMode | undefined; useCache: boolean },
): LinkMode {
  const named = env["OCIBUNDLE_LINK"];
  if ((link === "reflink" || link === "hardlink") && !useCache) {
    throw new OcibundleError("usage", `--link ${link} cannot be used with --no-cache`, {
      hint: "remove one of them: files are linked from the cache",
    });
  }
  return link ?? (named ? parseLinkMode(named, "OCIBUNDLE_LINK") : (config.pull?.link ?? "auto"));
}
