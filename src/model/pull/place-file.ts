import { randomUUID } from "node:crypto";
import {
  type MaterializeWay,
  materialize,
  temporaryName,
} from "../../store/placement/materialize.ts";
import { openTargetFolder } from "../../store/placement/target-folder.ts";
import type { FetchContext } from "./pull-context.ts";
import { placeUnlessThere } from "./same-content.ts";
import type { WantedFile } from "./pull-plan.ts";

const allWays: readonly MaterializeWay[] = ["reflink", "hard link", "copy"];
const plainWays: readonly MaterializeWay[] = ["hard link", "copy"];

/** Without the cache every file is one of its own, to be edited without changing another. */
export const ownFileWays: readonly MaterializeWay[] = ["reflink", "copy"];

/** Puts a verified original, which lies at `original`, in the place of a file. Throws as `materialize`. */
export async function materializeFile(
  { entry, parts }: WantedFile,
  original: string,
  { root, force, alone, seen, session: { signal, emit, cache } }: FetchContext,
  ways: readonly MaterializeWay[] = seen.noReflinks === true ? plainWays : allWays,
): Promise<void> {
  const name = parts.at(-1) ?? "";
  await using folder = await openTargetFolder(root, parts.slice(0, -1));
  const { digestOriginal } = entry;
  const isForeign =
    original === cache.blobPath(digestOriginal) && (await cache.isForeign(digestOriginal));
  const way = await placeUnlessThere(folder.at(name), entry, signal, () =>
    materialize(original, folder, name, {
      signal,
      replace: force,
      temporary: alone ? undefined : temporaryName(`${name} ${randomUUID()}`),
      ways,
      verify: isForeign ? digestOriginal : undefined,
    }),
  );
  if (way === "there") return;
  if (!isForeign && way !== "reflink") seen.noReflinks = true;
  emit({ type: "detail", message: `${entry.name}: ${way} of "${original}"` });
}
