import type { EmitEvent } from "./events.ts";

/** What of a run's bytes an earlier run had moved. */
export interface ResumedBytes {
  /** Passes events on, and counts. */
  emit: EmitEvent;
  /** Items that were resumed and their bytes, without what had to be moved again. */
  total(): { blobs: number; bytes: number };
  /** Bytes that were taken from other files on this machine. */
  reused(): number;
}

/** Counts resumed bytes among the events of a run, so that its report does not call them sent or fetched. */
export function countResumed(emit: EmitEvent): ResumedBytes {
  let reused = 0;
  const items = new Map<string, { done: number; resumed: number }>();
  return {
    emit(event) {
      if (event.type === "progress" && event.reused === true) reused += event.bytes;
      else if (event.type === "progress" && (event.resumed === true || event.bytes < 0)) {
        const { item, bytes } = event;
        const { done, resumed } = items.get(item) ?? { done: 0, resumed: 0 };
        const left = Math.max(0, done + bytes);
        items.set(item, {
          done: left,
          resumed: event.resumed === true ? Math.max(0, resumed + bytes) : Math.min(resumed, left),
        });
      } else if (event.type === "progress") {
        const item = items.get(event.item);
        if (item !== undefined) item.done += event.bytes;
      }
      emit(event);
    },
    reused: () => reused,
    total() {
      const resumed = [...items.values()].filter((item) => item.resumed > 0);
      return {
        blobs: resumed.length,
        bytes: resumed.reduce((sum, item) => sum + item.resumed, 0),
      };
    },
  };
}
