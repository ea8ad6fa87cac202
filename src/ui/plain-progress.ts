import type { TransferEvent } from "../transfer/events.ts";
import type { Clock } from "./clock.ts";
import { formatDuration } from "./duration.ts";
import { countItems, createLedger, isMinor, moving, outcomeText, remaining } from "./ledger.ts";
import type { Item, PhaseRecord } from "./ledger.ts";
import { createMessages } from "./messages.ts";
import type { Progress, ProgressOutput } from "./progress-output.ts";
import { formatRate, formatSize } from "./size.ts";
import { escapeText } from "./text.ts";

/** How often a line says how far a phase is, in milliseconds. */
const reportEvery = 10_000;
/** A phase of more items than that gets no line an item. */
const mostItemLines = 20;

/** Lines for logs: what began, what is done, and every few seconds how far it is. */
export function createPlainProgress(output: ProgressOutput, clock: Clock): Progress {
  const ledger = createLedger();
  const messages = createMessages(output);
  const line = (text: string): void => {
    output.write(`${escapeText(text)}\n`);
  };

  /** What a target has already is one line, however many blobs it is. */
  let checking: PhaseRecord | undefined;
  const endCheck = (): void => {
    if (checking !== undefined) {
      const { items, itemsDone, outcomes } = checking;
      // What this run has moved before the check is there, but was not before the run.
      const moved = (outcomes.get("sent") ?? 0) + (outcomes.get("mounted") ?? 0);
      const found = itemsDone - moved;
      if (found > 0) line(`check: ${found} of ${countItems(items)} up to date`);
    }
    checking = undefined;
  };

  const describe = (event: TransferEvent, item: Item | undefined, now: number): void => {
    const phase = ledger.phases.at(-1);
    if (event.type === "phase") {
      endCheck();
      if (event.phase === "check") checking = phase;
      else if (phase !== undefined && phase.items > 0) line(`${phase.phase}: ${amount(phase)}`);
    } else if (event.type === "done" && item !== undefined) {
      const record = ledger.phases.find((candidate) => candidate.phase === event.phase);
      if (record === undefined || record === checking) return;
      if (record.items <= mostItemLines && !isMinor(item, record))
        line(`${event.phase} ${itemEnd(item)}`);
      if (record.itemsDone === record.items && record.items > 1) line(phaseEnd(record, now));
    } else if (
      event.type === "progress" &&
      event.resumed === true &&
      event.reused !== true &&
      item !== undefined
    ) {
      line(`${event.phase} ${labelOf(item)}: resumed at ${formatSize(item.resumed)}`);
    } else if (event.type === "wait") {
      messages.showWait(event, now);
    }
  };

  const report = (): void => {
    const now = clock.now();
    for (const record of ledger.phases) {
      if (record.active.size > 0) line(howFar(record, now));
    }
  };
  const stop = clock.every(reportEvery, report);

  return {
    emit(event) {
      const now = clock.now();
      const item = ledger.record(event, now);
      describe(event, item, now);
      messages.show(event);
      messages.showNews(event);
    },
    print: output.write,
    settle: endCheck,
    close() {
      endCheck();
      stop();
    },
  };
}

const amount = ({ items, bytes }: Pick<PhaseRecord, "items" | "bytes">): string =>
  bytes > 0 ? `${countItems(items)}, ${formatSize(bytes)}` : countItems(items);

const labelOf = ({ group, name }: Item): string =>
  [group, name].filter((part) => part !== "").join(" ");

function itemEnd(item: Item): string {
  const { bytes, outcome, phase } = item;
  const size = bytes > 0 ? `${formatSize(bytes)}, ` : "";
  return `${labelOf(item)}: ${size}${outcome === undefined ? "done" : outcomeText(outcome, phase)}`;
}

function phaseEnd(record: PhaseRecord, now: number): string {
  const outcomes = Array.from(
    record.outcomes,
    ([outcome, items]) => `, ${items} ${outcomeText(outcome, record.phase)}`,
  );
  const { items } = record;
  return `${record.phase}: ${amount({ items, bytes: moving(record).bytes })} in ${formatDuration(now - record.start)}${outcomes.join("")}`;
}

function howFar(record: PhaseRecord, now: number): string {
  const { phase, items, itemsDone } = record;
  const { bytes, bytesDone } = moving(record);
  if (bytes === 0) return `${phase}: ${itemsDone} of ${countItems(items)}`;
  const rate = record.rate.at(now);
  const left = remaining(bytes - bytesDone, rate);
  const percent = Math.floor((100 * bytesDone) / bytes);
  const eta = left === undefined ? "" : `, ${formatDuration(left)} left`;
  return `${phase}: ${percent} % (${formatSize(bytesDone)} of ${formatSize(bytes)}), ${formatRate(rate)}${eta}`;
}
