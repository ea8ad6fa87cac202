import type { Phase, TransferEvent } from "../transfer/events.ts";
import type { Clock } from "./clock.ts";
import type { Progress, ProgressOutput } from "./progress-output.ts";

/** Bytes of an item are summed up for that long before they are a line. */
const gatherMilliseconds = 200;

interface Gathered {
  phase: Phase;
  item: string;
  bytes: number;
  since: number;
}

/**
 * One event, one line of JSON (docs/progress.md). Further bytes of an item are summed up to a few lines a
 * second; the sum of the lines is exact, and the last of them comes before the item's `done`.
 */
export function createJsonProgress(output: ProgressOutput, clock: Clock): Progress {
  const gathered = new Map<string, Gathered>();
  const line = (event: object): void => {
    output.write(`${JSON.stringify(event)}\n`);
  };
  const flush = (key: string): void => {
    const entry = gathered.get(key);
    gathered.delete(key);
    if (entry === undefined || entry.bytes === 0) return;
    const { phase, item, bytes } = entry;
    line({ type: "progress", phase, item, bytes } satisfies TransferEvent);
  };
  const flushAll = (): void => {
    for (const key of gathered.keys()) flush(key);
  };
  return {
    emit(event) {
      if (event.type === "detail" && !output.verbose) return;
      if (event.type !== "progress") {
        if (event.type === "done") flush(`${event.phase} ${event.item}`);
        line(event);
        return;
      }
      if (event.resumed === true) {
        line(event);
        return;
      }
      const { phase, item, bytes } = event;
      const key = `${phase} ${item}`;
      const now = clock.now();
      const entry = gathered.get(key) ?? { phase, item, bytes: 0, since: now };
      entry.bytes += bytes;
      gathered.set(key, entry);
      if (now - entry.since >= gatherMilliseconds) flush(key);
    },
    print(text) {
      for (const message of text.split("\n").filter((part) => part !== "")) {
        line({ type: "message", message });
      }
    },
    settle() {},
    close: flushAll,
  };
}
