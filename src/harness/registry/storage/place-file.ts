import { createWorkerPool, type WorkerPool } from "../../../runtime/worker-pool.ts";
import type { FileToPlace } from "../../../runtime/worker-protocol.ts";

/** Files that are placed together at most: who comes first does not wait for all of a crowd. */
const mostTogether = 64;

/** Places files in another thread. */
export interface FilePlacer {
  /** Gives a checked file its name; both are on the disk then. Rejects with errno errors. */
  place(file: FileToPlace): Promise<void>;
  /** Starts the thread, so that the first file does not wait for that. */
  start(): void;
}

interface Waiting {
  file: FileToPlace;
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * Places files in another thread: those that come while it flushes go together after that, since a flush takes about
 * as long for a dozen as for one.
 */
export function filePlacer(open: () => Pick<WorkerPool, "place">): FilePlacer {
  const waiting: Waiting[] = [];
  let pool: Pick<WorkerPool, "place"> | undefined;
  let busy = false;
  const { signal } = new AbortController();
  const placeAll = async (batch: readonly Waiting[]): Promise<void> => {
    try {
      pool ??= open();
      const files = batch.map(({ file }) => file);
      const results = await pool.place(files, { signal });
      for (const [index, { resolve, reject }] of batch.entries()) {
        const failed = results[index];
        if (failed === undefined) resolve();
        else reject(Object.assign(new Error(failed.message), { code: failed.code }));
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  };
  const goOn = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    while (waiting.length > 0) await placeAll(waiting.splice(0, mostTogether));
    busy = false;
  };
  return {
    place: (file) =>
      new Promise((resolve, reject) => {
        waiting.push({ file, resolve, reject });
        void goOn();
      }),
    start() {
      if (pool === undefined) void placeAll([]);
    },
  };
}

/** The files of all registries of this process. */
export const placer: FilePlacer = filePlacer(() => createWorkerPool(1));
