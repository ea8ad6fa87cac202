import pLimit from "p-limit";

/**
 * Calls `work` for each item, `limit` at a time and in the order of the items. The first failure aborts
 * the signal that all calls are given, keeps further ones from starting, and is thrown when the running
 * ones have ended. Resolves to the results in the order of the items. Throws the signal's reason.
 */
export async function parallel<Item, Result>(
  items: Iterable<Item>,
  limit: number,
  signal: AbortSignal,
  work: (item: Item, stop: AbortSignal) => Promise<Result>,
): Promise<Result[]> {
  signal.throwIfAborted();
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const atOnce = pLimit(Math.max(1, limit));
  const results: Result[] = [];
  let failure: { error: unknown } | undefined;
  const one = async (item: Item, index: number): Promise<void> => {
    if (stop.aborted) return;
    try {
      results[index] = await work(item, stop);
    } catch (error) {
      // What fails after the first failure fails because of it.
      failure ??= { error };
      failed.abort(error);
    }
  };
  await Promise.all([...items].map((item, index) => atOnce(one, item, index)));
  signal.throwIfAborted();
  if (failure !== undefined) throw failure.error;
  return results;
}
