import { formatRemaining } from "./duration.ts";
import { countItems, isMinor, outcomeText, remaining } from "./ledger.ts";
import type { Item, Ledger, PhaseRecord } from "./ledger.ts";
import { formatPart, formatRate, formatSize } from "./size.ts";
import { displayWidth, escapeText, pad, truncate } from "./text.ts";

/** What a drawing depends on besides the events. */
export interface Canvas {
  columns: number;
  rows: number;
  colors: boolean;
  /** The clock's milliseconds. */
  now: number;
}

/** Lines drawn at most, the total's among them. */
const mostLines = 10;
const widestName = 32;

/** One line before it is cut to the terminal. `done` is from 0 to 1. */
interface Row {
  group: string;
  name: string;
  done: number;
  finished: boolean;
  size: string;
  tail: string[];
}

/** Draws the state of a run: a line an item, as many as fit, and a total. No line is wider than the terminal. */
export function layoutProgress(ledger: Ledger, canvas: Canvas): string[] {
  const shown = phasesToShow(ledger.phases);
  const totals = shown.filter(({ items }) => items > 1);
  const most = Math.max(1, Math.min(mostLines, canvas.rows - 2) - totals.length);
  const rows = [
    ...itemsToShow(shown, most).map((item) => itemRow(item, canvas.now)),
    ...totals.map((record) => totalRow(record, canvas.now)),
  ];
  return layoutRows(rows, canvas);
}

/** What works now; when nothing does, what moved bytes last. */
function phasesToShow(phases: readonly PhaseRecord[]): PhaseRecord[] {
  const working = phases.filter(({ active }) => active.size > 0);
  if (working.length > 0) return working;
  const withItems = phases.filter(({ items, itemsDone }) => items > 0 || itemsDone > 0);
  const last =
    withItems.findLast(({ phase }) => phase === "upload" || phase === "download") ??
    withItems.at(-1);
  return last === undefined ? [] : [last];
}

/** Those that move first, then those that ended last; in the order in which they began. */
function itemsToShow(phases: readonly PhaseRecord[], most: number): Item[] {
  const active = phases
    .flatMap((record) => worthALine(record.active.values(), record))
    .slice(0, most);
  const finished = phases.flatMap((record) => worthALine(record.recent, record));
  const room = most - active.length;
  return [...(room > 0 ? finished.slice(-room) : []), ...active];
}

const worthALine = (items: Iterable<Item>, record: PhaseRecord): Item[] =>
  Array.from(items).filter((item) => !isMinor(item, record));

function itemRow(item: Item, now: number): Row {
  const { group, name, bytes, done, finished, outcome, waiting, phase } = item;
  const row = {
    group,
    name,
    done: finished ? 1 : ratio(done, bytes),
    finished,
    size: finished ? sizeOf(bytes) : partOf(done, bytes),
  };
  if (finished) {
    const moved = outcome === undefined || outcome === "sent";
    return { ...row, tail: moved ? [] : [outcomeText(outcome, phase)] };
  }
  if (waiting !== undefined) {
    const wait = formatRemaining(waiting.until - now);
    return { ...row, tail: [`${waiting.reason}; again in ${wait}`] };
  }
  const rate = item.rate.at(now);
  const verb = phase === "upload" || phase === "download" ? [] : [phase];
  return { ...row, tail: [...speed(rate, bytes - done, bytes), ...verb] };
}

function totalRow(record: PhaseRecord, now: number): Row {
  const { phase, items, itemsDone, bytes, bytesDone } = record;
  const finished = itemsDone >= items;
  const rate = record.rate.at(now);
  return {
    group: phase,
    name: finished ? countItems(items) : `${itemsDone} of ${countItems(items)}`,
    done: bytes > 0 ? ratio(bytesDone, bytes) : ratio(itemsDone, items),
    finished,
    size: finished ? sizeOf(bytes) : partOf(bytesDone, bytes),
    tail: finished ? outcomesOf(record) : speed(rate, bytes - bytesDone, bytes),
  };
}

const outcomesOf = ({ outcomes, phase }: PhaseRecord): string[] => [
  Array.from(outcomes, ([outcome, items]) => `${items} ${outcomeText(outcome, phase)}`).join(", "),
];

const ratio = (done: number, whole: number): number =>
  whole > 0 ? Math.min(1, Math.max(0, done / whole)) : 0;

const sizeOf = (bytes: number): string => (bytes > 0 ? formatSize(bytes) : "");
const partOf = (done: number, bytes: number): string =>
  bytes > 0 ? formatPart(done, bytes) : sizeOf(done);

function speed(rate: number, left: number, bytes: number): string[] {
  if (bytes === 0) return [];
  const time = remaining(left, rate);
  return [formatRate(rate), `eta ${time === undefined ? "-" : formatRemaining(time)}`];
}

function layoutRows(rows: readonly Row[], { columns, colors }: Canvas): string[] {
  const usable = Math.max(1, columns - 1);
  const groups = widest(rows.map(({ group }) => escapeText(group)));
  const sizes = widest(rows.map(({ size }) => size));
  const rates = widest(rows.map(({ tail }) => (tail.length > 1 ? (tail[0] ?? "") : "")));
  const fixed = 2 + groups + 2 + 2 + sizes;
  const barWidth = barColumns(usable);
  const names = Math.min(
    widest(rows.map(({ name }) => escapeText(name))),
    widestName,
    Math.max(8, usable - fixed - (barWidth > 0 ? barWidth + 2 : 0) - (usable < 60 ? 0 : 22)),
  );
  return rows.map((row) => {
    const name = pad(truncate(escapeText(row.name), names), names);
    const head = `  ${pad(escapeText(row.group), groups)}  ${name}  `;
    const tail = row.tail.map((part, index) => {
      const text = escapeText(part);
      return index === 0 && row.tail.length > 1 ? pad(text, rates, "right") : text;
    });
    const after = `${barWidth > 0 ? "  " : ""}${[pad(row.size, sizes, "right"), ...tail].join("   ")}`;
    const bar = truncate(drawBar(row.done, barWidth), Math.max(0, usable - displayWidth(head)));
    const line = truncate(`${head}${bar}${after}`, usable).trimEnd();
    return colors ? colored(line, head.length, bar.length, row.finished) : line;
  });
}

/** How wide a bar is on so wide a terminal; none where there is no room. */
function barColumns(usable: number): number {
  if (usable >= 79) return 24;
  return usable >= 60 ? 10 : 0;
}

const widest = (texts: readonly string[]): number =>
  texts.reduce((most, text) => Math.max(most, displayWidth(text)), 0);

const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"] as const;

function drawBar(done: number, columns: number): string {
  const filled = Math.floor(done * columns * 8);
  const bar = "█".repeat(Math.floor(filled / 8)) + (eighths[filled % 8] ?? "");
  return pad(bar, columns);
}

const green = 32;
const cyan = 36;

function colored(line: string, start: number, length: number, finished: boolean): string {
  const bar = line.slice(start, start + length);
  if (bar.trim() === "") return line;
  const color = finished ? green : cyan;
  return `${line.slice(0, start)}\u001B[${color}m${bar}\u001B[39m${line.slice(start + length)}`;
}
