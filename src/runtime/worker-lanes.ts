import { runtime } from "./current.ts";
import type { JobMessage, LaneMessage } from "./worker-protocol.ts";

/** A thread, and the workers that it is for those who start them. */
interface Thread {
  worker: Worker & { ref?(): void; unref?(): void };
  lanes: Map<number, EventTarget>;
  /** Lanes that keep the process open. */
  held: Set<number>;
}

/**
 * What a pool starts its workers with, so that they share `most` threads: a thread of its own costs each of them
 * five megabytes. For jobs that wait for most of their time and let others of their thread have a turn, such as
 * following files. A worker that is ended takes its thread along when it was the last one on it.
 */
export function laneStarter(most: number, start = runtime.startWorker): () => Worker {
  const threads = new Set<Thread>();
  let lastLane = 0;

  const begin = (): Thread => {
    const thread: Thread = { worker: start(), lanes: new Map(), held: new Set() };
    threads.add(thread);
    thread.worker.addEventListener("message", ({ data }: MessageEvent<LaneMessage>) => {
      thread.lanes.get(data.lane ?? 0)?.dispatchEvent(new MessageEvent("message", { data }));
    });
    thread.worker.addEventListener("error", (event) => {
      event.preventDefault();
      threads.delete(thread);
      for (const lane of thread.lanes.values()) {
        lane.dispatchEvent(new ErrorEvent("error", { message: event.message }));
      }
    });
    return thread;
  };

  const leastBusy = (): Thread => {
    const [free] = [...threads].toSorted((a, b) => a.lanes.size - b.lanes.size);
    return free === undefined || (free.lanes.size > 0 && threads.size < most) ? begin() : free;
  };

  return () => {
    const thread = leastBusy();
    const { worker, lanes, held } = thread;
    const lane = ++lastLane;
    const hold = (wanted: boolean): void => {
      if (wanted) held.add(lane);
      else held.delete(lane);
      if (held.size > 0) worker.ref?.();
      else worker.unref?.();
    };
    const target = new EventTarget();
    lanes.set(lane, target);
    return Object.assign(target, {
      postMessage: (message: JobMessage) => worker.postMessage({ ...message, lane }, []),
      ref: () => hold(true),
      unref: () => hold(false),
      terminate() {
        lanes.delete(lane);
        hold(false);
        if (lanes.size > 0) return;
        threads.delete(thread);
        worker.terminate();
      },
    }) as unknown as Worker;
  };
}
