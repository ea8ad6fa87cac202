import { PartPlaces } from "./part-places.ts";
import type { Hashed, PartJob } from "./worker-protocol.ts";

/** While less waits, in bytes, what is under way ends sooner than another worker has begun. */
const worthAnother = 16 * 1024 * 1024;

interface Waiting {
  job: PartJob;
  bytes: number;
  signal: AbortSignal;
  done: PromiseWithResolvers<Hashed>;
}

/**
 * Hands parts on to workers, those of one file that come meanwhile together: to wake a worker for each costs as much as
 * to hash a small one. `run` is called for at most `most` batches at a time, whose failure is that of all in it; and at
 * once for what can fail for more than the file that it lies in.
 */
export function partBatches(
  most: number,
  run: (jobs: readonly PartJob[], signal: AbortSignal) => Promise<readonly Hashed[]>,
): (job: PartJob, options: { signal: AbortSignal }) => Promise<Hashed> {
  let waiting: Waiting[] = [];
  let running = 0;

  /** The first of those that wait, and others of its file up to so many bytes as are worth a worker. */
  const takeBatch = (): Waiting[] => {
    const [first] = waiting;
    const batch: Waiting[] = [];
    let bytes = 0;
    waiting = waiting.filter((one) => {
      const isOther = one.signal !== first?.signal || one.job.from.path !== first.job.from.path;
      if (isOther || bytes >= worthAnother) return true;
      bytes += one.bytes;
      batch.push(one);
      return false;
    });
    return batch;
  };
  const runBatch = async (batch: readonly Waiting[], signal: AbortSignal): Promise<void> => {
    running += 1;
    try {
      const results = await run(
        batch.map(({ job }) => job),
        signal,
      );
      for (const [index, { done }] of batch.entries()) done.resolve(results[index] as Hashed);
    } catch (error) {
      for (const { done } of batch) done.reject(error);
    }
    running -= 1;
    start();
  };
  const start = (): void => {
    for (;;) {
      const [first] = waiting;
      if (first === undefined || running === most) return;
      const bytes = waiting.reduce((sum, one) => sum + one.bytes, 0);
      if (running > 0 && bytes < worthAnother) return;
      void runBatch(takeBatch(), first.signal);
    }
  };
  return async (job, { signal }) => {
    if (!isOfOneFile(job)) return (await run([job], signal))[0] as Hashed;
    const done = Promise.withResolvers<Hashed>();
    waiting.push({ job, bytes: new PartPlaces(job.from.places).bytes, signal, done });
    start();
    return done.promise;
  };
}

/** Whether all that a job can fail for is the file that the part lies in. */
const isOfOneFile = ({ from, decode, to }: PartJob): boolean =>
  decode === undefined && (to === undefined || to.path === from.path);
