import { runtime } from "../runtime/current.ts";

/** Parts that all files of a run may fetch ahead of their turn together: 32 MiB. */
const partsOfRun = 8;

/**
 * What is not given back at once is collected each time that so much of it was handed on, in bytes: Bun's
 * collector does not see how large the chunks of streams are.
 */
const collectedBytes = 24 * 1024 * 1024;

/** How many parts may be fetched ahead of their turn, each of which may be in memory as a whole. */
export interface Slots {
  /** Whether one more may be; it is to be given back. */
  take(): boolean;
  give(): void;
  /** Counts bytes in memory that nobody needs any more, and that could not be given back. */
  left(bytes: number): void;
  /** Lets nothing be fetched ahead any more: the server wants fewer connections. */
  stop(): void;
}

/** The slots that the files of a run share. */
export function slots(count: number = partsOfRun): Slots {
  let free = count;
  let toCollect = 0;
  return {
    take() {
      if (free <= 0) return false;
      free -= 1;
      return true;
    },
    give: () => void (free += 1),
    left(bytes) {
      toCollect += bytes;
      if (toCollect < collectedBytes) return;
      toCollect = 0;
      runtime.collectGarbage();
    },
    stop: () => void (free = Number.NEGATIVE_INFINITY),
  };
}
