import { randomUUID } from "node:crypto";
import { errno, OcibundleError } from "../../errors.ts";
import { fileFault, faultReason } from "../../runtime/file-faults.ts";
import { type LinkMode, waysFor } from "../session/link-mode.ts";
import {
  isImpossibleWay,
  type MaterializeWay,
  materialize,
  temporaryName,
} from "../../store/placement/materialize.ts";
import { openTargetDirectory } from "../../store/placement/target-directory.ts";
import type { FetchContext } from "./pull-context.ts";
import { placeUnlessThere } from "./same-content.ts";
import type { WantedFile } from "./pull-plan.ts";

/** Without the cache every file is one of its own, to be edited without changing another. */
export const ownFileWays = (link: LinkMode): readonly MaterializeWay[] =>
  link === "copy" ? ["copy"] : ["reflink", "copy"];

/**
 * Puts a verified original, which lies at `original`, in the place of a file. Throws as `materialize`, and
 * `system` where the only way that the user allows does not work.
 */
export async function materializeFile(
  file: WantedFile,
  original: string,
  { root, force, alone, link, seen, session: { signal, emit, cache } }: FetchContext,
  ways: readonly MaterializeWay[] = waysFor(link, file.entry.sizeUncompressed, seen),
): Promise<void> {
  const { entry, parts, path } = file;
  const name = parts.at(-1) ?? "";
  await using directory = await openTargetDirectory(root, parts.slice(0, -1));
  const { digestOriginal } = entry;
  const isForeign =
    original === cache.blobPath(digestOriginal) && (await cache.isForeign(digestOriginal));
  const [only] = ways;
  if (isForeign && ways.length === 1 && only !== undefined && only !== "copy") {
    const hint = "use --link auto, or a cache of your own with OCIBUNDLE_CACHE";
    throw notPossible(path, only, "the cached file belongs to another user", hint);
  }
  const way = await placeUnlessThere(directory.at(name), entry, signal, () =>
    materialize(original, directory, name, {
      signal,
      replace: force,
      temporary: alone ? undefined : temporaryName(`${name} ${randomUUID()}`),
      ways,
      verify: isForeign ? digestOriginal : undefined,
    }),
  ).catch((error: unknown) => {
    const fault = fileFault(error);
    const isRefused = ways.length === 1 && only !== "copy" && isImpossibleWay(fault);
    throw isRefused && only !== undefined && errno(fault) !== "EEXIST"
      ? notPossible(path, only, faultReason(fault), hintFor(fault), error)
      : error;
  });
  if (way === "there") return;
  if (!isForeign && way !== "reflink" && ways.includes("reflink")) seen.noReflinks = true;
  (seen.ways ??= new Map()).set(file, way);
  emit({ type: "detail", message: `${entry.name}: ${way} of "${original}"` });
}

const hintFor = (fault: unknown): string =>
  errno(fault) === "EXDEV"
    ? "use --link auto, or put the cache on the same file system with OCIBUNDLE_CACHE"
    : "use --link auto";

function notPossible(
  path: string,
  way: MaterializeWay,
  why: string,
  hint: string,
  cause?: unknown,
): OcibundleError {
  return new OcibundleError(
    "system",
    `"${path}": cannot create a ${way} of the cached file: ${why}`,
    { hint, path, cause },
  );
}
