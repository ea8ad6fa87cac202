import type { Phase, TransferEvent } from "../transfer/events.ts";
import { createRate } from "./rate.ts";
import type { Rate } from "./rate.ts";
import { formatSize } from "./size.ts";

/** How an item ended. */
export type Outcome = NonNullable<Extract<TransferEvent, { type: "done" }>["outcome"]>;

/** One thing that moves, as far as it is known. Times are the clock's milliseconds. */
export interface Item {
  name: string;
  group: string;
  phase: Phase;
  /** The whole of it, in bytes. */
  bytes: number;
  done: number;
  /** Of what is done, the bytes that an earlier run did. */
  resumed: number;
  /** Of these, bytes that were taken from other files on this machine. */
  reused: number;
  rate: Rate;
  finished: boolean;
  outcome: Outcome | undefined;
  /** Waiting before another try until then. */
  waiting: { until: number; reason: string } | undefined;
}

/** What a phase has done. Of finished items only the last few are kept: there may be 100,000. */
export interface PhaseRecord {
  phase: Phase;
  start: number;
  /** As announced, or as many as were seen. */
  items: number;
  /** As announced, or the sum of what was started. */
  bytes: number;
  itemsDone: number;
  bytesDone: number;
  /** Of what is done, the bytes that an earlier run did. */
  resumed: number;
  /** Of the bytes that moved in this run. */
  rate: Rate;
  active: Map<string, Item>;
  recent: Item[];
  /** Items by how they ended. */
  outcomes: Map<Outcome, number>;
}

const recentItems = 16;

/** An item whose beginning was not told. */
const unknown = { group: "", bytes: 0 } as const;

/** What the events of a run add up to. */
export interface Ledger {
  /** In the order they began. */
  readonly phases: readonly PhaseRecord[];
  /** Takes an event in; hands back the item it was about, where there is one. */
  record(event: TransferEvent, now: number): Item | undefined;
}

/** A ledger without items. */
export function createLedger(): Ledger {
  const phases: PhaseRecord[] = [];
  const started = new WeakMap<PhaseRecord, { items: number; bytes: number }>();

  const phaseOf = (phase: Phase, now: number): PhaseRecord => {
    const known = phases.find((record) => record.phase === phase);
    if (known !== undefined) return known;
    const record: PhaseRecord = {
      phase,
      start: now,
      items: 0,
      bytes: 0,
      itemsDone: 0,
      bytesDone: 0,
      resumed: 0,
      rate: createRate(now),
      active: new Map(),
      recent: [],
      outcomes: new Map(),
    };
    phases.push(record);
    started.set(record, { items: 0, bytes: 0 });
    return record;
  };

  const begin = (
    record: PhaseRecord,
    key: string,
    { group, bytes, file }: { group: string; bytes: number; file?: string },
    now: number,
  ) => {
    const sums = started.get(record) ?? { items: 0, bytes: 0 };
    sums.items += 1;
    sums.bytes += bytes;
    record.items = Math.max(record.items, sums.items);
    record.bytes = Math.max(record.bytes, sums.bytes);
    const item: Item = {
      name: file ?? key,
      group,
      phase: record.phase,
      bytes,
      done: 0,
      resumed: 0,
      reused: 0,
      rate: createRate(now),
      finished: false,
      outcome: undefined,
      waiting: undefined,
    };
    record.active.set(key, item);
    return item;
  };

  const announce = (event: Extract<TransferEvent, { type: "phase" }>, now: number): void => {
    const record = phaseOf(event.phase, now);
    // A phase that is announced again, as for a second image, goes on counting.
    record.items = Math.max(record.items, record.itemsDone + (event.items ?? 0));
    record.bytes = Math.max(record.bytes, record.bytesDone + (event.bytes ?? 0));
    phases.splice(phases.indexOf(record), 1);
    phases.push(record);
  };

  const advance = (
    record: PhaseRecord,
    item: Item,
    { bytes, resumed, reused }: Extract<TransferEvent, { type: "progress" }>,
    now: number,
  ): void => {
    item.done += bytes;
    item.waiting = undefined;
    record.bytesDone += bytes;
    // What must be done again may be what an earlier run had done.
    const before = item.resumed;
    item.resumed = Math.max(0, resumed === true ? before + bytes : Math.min(before, item.done));
    record.resumed += item.resumed - before;
    if (reused === true) item.reused += bytes;
    if (resumed === true) return;
    item.rate.add(bytes, now);
    record.rate.add(bytes, now);
  };

  const finish = (event: Extract<TransferEvent, { type: "done" }>, now: number): Item => {
    const { phase, item: name, outcome } = event;
    const record = phaseOf(phase, now);
    const item = record.active.get(name) ?? begin(record, name, { ...unknown, ...event }, now);
    record.active.delete(name);
    record.itemsDone += 1;
    // What was there already counts as done, though nothing moved.
    record.bytesDone += item.bytes - item.done;
    item.done = item.bytes;
    item.finished = true;
    item.waiting = undefined;
    item.outcome = outcome;
    if (outcome !== undefined) {
      record.outcomes.set(outcome, (record.outcomes.get(outcome) ?? 0) + 1);
    }
    record.recent.push(item);
    if (record.recent.length > recentItems) record.recent.shift();
    return item;
  };

  return {
    phases,
    record(event, now) {
      if (event.type === "phase") announce(event, now);
      if (event.type === "start") {
        return begin(phaseOf(event.phase, now), event.item, event, now);
      }
      if (event.type === "progress") {
        const record = phaseOf(event.phase, now);
        const item = record.active.get(event.item) ?? begin(record, event.item, unknown, now);
        advance(record, item, event, now);
        return item;
      }
      if (event.type === "done") return finish(event, now);
      if (event.type === "wait" && event.item !== undefined) {
        const { item: name } = event;
        const item = phases.map(({ active }) => active.get(name)).find((found) => found);
        if (item !== undefined) {
          item.waiting = { until: now + event.milliseconds, reason: event.reason };
        }
        return item;
      }
      return undefined;
    },
  };
}

/**
 * Whether an item is too small beside its phase to be worth a line: the config of a manifest among
 * gigabytes. Where everything is small, nothing is.
 */
export const isMinor = (item: Item, { items, bytes }: PhaseRecord): boolean =>
  item.bytes * items * 1000 < bytes;

/** Milliseconds until what is left is done at the rate of now, or undefined where nobody can know. */
export function remaining(left: number, bytesPerSecond: number): number | undefined {
  return bytesPerSecond > 0 && left >= 0 ? (left / bytesPerSecond) * 1000 : undefined;
}

/** The bytes of a phase that this run moves: what an earlier run had done is neither work nor done. */
export const moving = ({
  bytes,
  bytesDone,
  resumed,
}: PhaseRecord): { bytes: number; bytesDone: number } => ({
  bytes: bytes - resumed,
  bytesDone: bytesDone - resumed,
});

/** `33.6 MiB reused, resumed at 33.6 MiB`: what other files had, and what an earlier run had done. */
export const resumedText = ({ resumed, reused }: Item): string[] => [
  ...(reused > 0 ? [`${formatSize(reused)} reused`] : []),
  ...(resumed > reused ? [`resumed at ${formatSize(resumed - reused)}`] : []),
];

const outcomeTexts = {
  sent: "sent",
  mounted: "mounted",
  present: "up to date",
  cached: "cached",
  kept: "up to date",
  failed: "failed",
} as const satisfies Record<Outcome, string>;

/** What an outcome of a phase is called: `up to date`. */
export const outcomeText = (outcome: Outcome, phase: Phase): string =>
  outcome === "sent" && phase === "write" ? "written" : outcomeTexts[outcome];

/** `1 item`, `3 items`. */
export const countItems = (items: number): string => `${items} ${items === 1 ? "item" : "items"}`;
