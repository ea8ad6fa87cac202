import { layoutProgress } from "./bar-layout.ts";
import type { Clock } from "./clock.ts";
import { createLedger } from "./ledger.ts";
import { createLiveRegion } from "./live-region.ts";
import { createMessages } from "./messages.ts";
import type { Progress, ProgressOutput } from "./progress-output.ts";

/** In milliseconds: smooth to the eye, nothing to the processor. */
const drawEvery = 100;

/** Bars at the bottom of a terminal: a line an item, and one for all. */
export function createBarProgress(output: ProgressOutput, clock: Clock): Progress {
  const ledger = createLedger();
  const region = createLiveRegion(output);
  let changed = false;
  let closed = false;

  const draw = (): void => {
    const lines = layoutProgress(ledger, {
      ...output.size(),
      colors: output.colors,
      now: clock.now(),
    });
    if (lines.length > 0) region.draw(lines);
  };
  const tick = (): void => {
    // Rates, waits and the time that is left change without an event.
    if (changed || ledger.phases.some(({ active }) => active.size > 0)) draw();
    changed = false;
  };
  const print = (text: string): void => {
    region.clear();
    output.write(text);
    changed = true;
  };
  const messages = createMessages({ ...output, write: print });
  const stop = clock.every(drawEvery, tick);
  const settle = (): void => {
    if (changed) draw();
    changed = false;
    region.keep();
  };

  return {
    emit(event) {
      if (closed) return;
      const now = clock.now();
      const item = ledger.record(event, now);
      messages.show(event);
      messages.showNews(event);
      if (event.type === "wait" && item === undefined) messages.showWait(event, now);
      changed = true;
    },
    print,
    settle,
    close() {
      if (closed) return;
      stop();
      settle();
      closed = true;
    },
  };
}
