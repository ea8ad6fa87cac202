import type { FetchContext, FetchOutcome } from "./pull-context.ts";
import { fetchDirectly } from "./fetch-in-place.ts";
import { fetchProgress } from "./pull-download.ts";
import type { WantedFile } from "./pull-plan.ts";
import { goOnWithoutCache } from "./pull-warnings.ts";
import { CacheTakesNothing, fetchThroughCache } from "./fetch-via-cache.ts";

/** Fetches one original, and gives it to every file that wants it. */
export async function fetchWeight(
  files: readonly [WantedFile, ...WantedFile[]],
  context: FetchContext,
): Promise<FetchOutcome> {
  const progress = fetchProgress(files[0].entry, context.session.emit);
  if (!context.useCache) return fetchDirectly(files, context, progress);
  try {
    return await fetchThroughCache(files, context, progress);
  } catch (error) {
    if (!(error instanceof CacheTakesNothing)) throw error;
    goOnWithoutCache(context, error.cause);
    progress.takeBack();
    return fetchDirectly(files, context, progress);
  }
}
