import { basename, dirname, join, posix, resolve, win32 } from "node:path";
import { OcibundleError, errno } from "../../errors.ts";
import { homeDirectory } from "../../runtime/home-directory.ts";
import {
  type FaultKind,
  faultKind,
  writingCode,
  writingReason,
  fileFault,
  unwritable,
} from "../../runtime/file-faults.ts";
import { ownPrefix } from "../placement/dest-rule.ts";

/** Variables of the environment, by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What of a run the cache's place depends on. */
export interface CachePlace {
  env: Environment;
  /** The working directory, absolute: what a relative `OCIBUNDLE_CACHE` is relative to. */
  cwd: string;
}

/** What of the machine the cache's place depends on; handed in so that the choice is a pure function. */
export interface CacheHost {
  platform: string;
  /** The user's home directory, or undefined when there is none. */
  home: string | undefined;
}

const thisCacheHost = (): CacheHost => ({
  platform: process.platform,
  home: homeDirectory({}),
});

/** A root below which nothing can be made: a device lies in the way. */
const nowhere = process.platform === "win32" ? "\\\\.\\NUL\\ocibundle" : "/dev/null/ocibundle";

/** Whether there is no place for a cache at this root: a run does without it. */
export const isNowhere = (root: string): boolean => mainRoot(root) === nowhere;

/**
 * {@link cacheDirectory}, or a root that nothing can be written to where nothing says where the cache could be,
 * as for a user of a container who has no home: a run goes on then as with a cache that can't be written.
 */
export function cacheDirectoryOrNowhere(place: CachePlace, host?: CacheHost): string {
  try {
    return cacheDirectory(place, host);
  } catch (error) {
    if (error instanceof OcibundleError) return nowhere;
    throw error;
  }
}

const noHome = {
  message: "no cache directory: the home directory is unknown",
  hint: "set OCIBUNDLE_CACHE to a directory",
};

/**
 * Where the cache lies: `OCIBUNDLE_CACHE`, else `ocibundle` in `XDG_CACHE_HOME`, else in the
 * platform's own directory for caches. An empty variable counts as unset, and so does a relative
 * `XDG_CACHE_HOME` (XDG base directory specification, "Environment variables").
 * Throws `file` when nothing says where it could be.
 */
export function cacheDirectory(
  { env, cwd }: CachePlace,
  host: CacheHost = thisCacheHost(),
): string {
  const path = host.platform === "win32" ? win32 : posix;
  const own = env["OCIBUNDLE_CACHE"];
  if (own) return path.isAbsolute(own) ? path.normalize(own) : resolve(cwd, own);
  const xdg = env["XDG_CACHE_HOME"];
  if (xdg && path.isAbsolute(xdg)) return path.join(xdg, "ocibundle");
  const local = env["LOCALAPPDATA"];
  if (host.platform === "win32" && local) return path.join(local, "ocibundle", "cache");
  const home = (host.platform === "win32" ? env["USERPROFILE"] : env["HOME"]) || host.home;
  if (!home || !path.isAbsolute(home)) {
    throw new OcibundleError("file", noHome.message, { hint: noHome.hint });
  }
  if (host.platform === "win32") return path.join(home, "AppData", "Local", "ocibundle", "cache");
  if (host.platform === "darwin") return path.join(home, "Library", "Caches", "ocibundle");
  return path.join(home, ".cache", "ocibundle");
}

/** The directory in a cache of files that were put together from parts: a cache of its own. */
const assembledName = "assembled";

/** Where files that were put together from parts lie in a cache. */
export const assembledRoot = (root: string): string => join(root, assembledName);

/** The directory of the cache that a cache lies in, or of itself. */
export const mainRoot = (root: string): string =>
  basename(root) === assembledName ? dirname(root) : root;

/** What a cache's directory begins with that is made for one run, in the directory that is pulled into. */
export const scratchPrefix = `${ownPrefix}unpack-`;

/** The directory that a user knows a cache by: of one for one run, the directory that it lies in. */
export function shownRoot(root: string): string {
  const main = mainRoot(root);
  return basename(main).startsWith(scratchPrefix) ? dirname(main) : main;
}

/** What to do where the cache's own file system is at fault; what has no hint here says nothing about the place. */
const hints: Readonly<Partial<Record<FaultKind, string>>> = {
  full: "free up space there, run `ocibundle cache prune`, or set OCIBUNDLE_CACHE to another disk",
  "read-only": "set OCIBUNDLE_CACHE to a writable directory",
  denied: "set OCIBUNDLE_CACHE to a directory of your own, or change its permissions",
  broken: "check that disk, or set OCIBUNDLE_CACHE to another one",
  path: "set OCIBUNDLE_CACHE to a shorter path",
  "too-large": "set OCIBUNDLE_CACHE to another disk",
  "in-the-way": "remove the existing file, or set OCIBUNDLE_CACHE to another directory",
};

/**
 * The error that a failed write below the cache directory is shown as, with the directory and the reason;
 * of a cache for one run, the directory that it lies in.
 * What is no file-system error comes back as it is.
 */
export function cacheFailure(root: string, error: unknown): unknown {
  if (error instanceof OcibundleError || errno(error) === undefined) return error;
  const main = mainRoot(root);
  if (main !== root) return cacheFailure(main, error);
  if (shownRoot(root) !== root) return unwritable(shownRoot(root), error);
  if (isNowhere(root)) {
    return new OcibundleError("file", noHome.message, {
      hint: noHome.hint,
      path: root,
      cause: error,
    });
  }
  return new OcibundleError(
    writingCode(error),
    `cannot use the cache directory "${root}": ${writingReason(error)}`,
    {
      hint: hintFor(error) ?? "set OCIBUNDLE_CACHE to another directory",
      path: root,
      cause: error,
    },
  );
}

function hintFor(error: unknown): string | undefined {
  const kind = faultKind(error);
  return kind === undefined ? undefined : hints[kind];
}

/** Whether an error says that the place can't be written, or can't take it: a run may go on without a cache. */
export const isUnusable = (error: unknown): boolean => hintFor(fileFault(error)) !== undefined;

/** The directories of the cache, below its root. */
export const cacheDirectories = (root: string) =>
  ({
    blobs: join(root, "blobs"),
    temp: join(root, "tmp"),
    records: join(root, "records"),
    locks: join(root, "locks"),
  }) as const;
