import type { FetchContext, FetchOutcome } from "./pull-context.ts";
import { fetchInPlace } from "./fetch-in-place.ts";
import { fetchProgress } from "./pull-download.ts";
import type { WantedFile } from "./pull-plan.ts";
import { goOnWithoutCache } from "./pull-warnings.ts";
import { fetchViaCache } from "./fetch-via-cache.ts";

/** Fetches one original, and gives it to every file that wants it. */
export async function fetchWeight(
  files: readonly [WantedFile, ...WantedFile[]],
  context: FetchContext,
): Promise<FetchOutcome> {
  const progress = fetchProgress(files[0].entry, context.session.emit);
  if (!context.useCache) return fetchInPlace(files, context, progress);
  const outcome = await fetchViaCache(files, context, progress);
  if (typeof outcome === "string") return outcome;
  goOnWithoutCache(context, outcome.why);
  progress.takeBack();
  return fetchInPlace(files, context, progress);
}
