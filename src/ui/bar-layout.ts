import { cutName } from "./cut-name.ts";
import { formatRemaining } from "./duration.ts";
import { countItems, isMinor, moving, outcomeText, remaining, resumedText } from "./ledger.ts";
import type { Item, Ledger, Outcome, PhaseRecord } from "./ledger.ts";
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
const widestName = 40;

/** One line before it is cut to the terminal. `done` is from 0 to 1; undefined where nothing moves: no bar then. */
interface Row {
  group: string;
  name: string;
  done: number | undefined;
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
  const moved = outcome === undefined || outcome === "sent";
  const row = {
    group,
    name,
    done: finished && unmoved.has(outcome) ? undefined : finished ? 1 : ratio(done, bytes),
    finished,
    size: finished ? sizeOf(bytes) : partOf(done, bytes),
  };
  if (finished) {
    const note = [...(moved ? [] : [outcomeText(outcome, phase)]), ...resumedText(item)].join(", ");
    return { ...row, tail: note === "" ? [] : [note] };
  }
  if (waiting !== undefined) {
    const left = waiting.until - now;
    const wait = left > 0 ? `retry in ${formatRemaining(left)}` : "retrying";
    return { ...row, tail: [`${wait}: ${waiting.reason}`] };
  }
  const rate = item.rate.at(now);
  const verb = phase === "upload" || phase === "download" ? [] : [phase];
  return { ...row, tail: [...speed(rate, bytes - done, bytes), ...verb] };
}

function totalRow(record: PhaseRecord, now: number): Row {
  const { phase, items, itemsDone, outcomes } = record;
  const { bytes, bytesDone } = moving(record);
  const finished = itemsDone >= items;
  const row = {
    group: phase,
    name: finished ? countItems(items) : `${itemsDone} of ${countItems(items)}`,
    finished,
  };
  if (finished) {
    const still = [...outcomes].every(([outcome]) => unmoved.has(outcome)) && outcomes.size > 0;
    return { ...row, done: still ? undefined : 1, size: sizeOf(bytes), tail: outcomesOf(record) };
  }
  // A check moves no bytes.
  if (bytes === 0 || phase === "check") {
    const size = phase === "check" ? "" : sizeOf(bytesDone);
    return { ...row, done: ratio(itemsDone, items), size, tail: [] };
  }
  return {
    ...row,
    done: ratio(bytesDone, bytes),
    size: partOf(bytesDone, bytes),
    tail: speed(record.rate.at(now), bytes - bytesDone, bytes),
  };
}

/** Outcomes of items that no bytes were moved for. */
const unmoved = new Set<Outcome | undefined>(["present", "kept", "cached", "mounted"]);

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

/** What a bar has where there is room, and what it may shrink to before names are cut; it then goes altogether. */
const bars = { widest: 24, narrowest: 6 } as const;
/** What names may shrink to, to keep a bar and to keep what informs. */
const names = { withBar: 24, without: 6 } as const;
/** A reason that is longer is cut where it ends: it must not take the room of every row. */
const longestNote = 36;

function layoutRows(rows: readonly Row[], { columns, colors }: Canvas): string[] {
  const usable = Math.max(1, columns - 1);
  const sizes = widest(rows.map(({ size }) => size));
  const rates = widest(rows.map(({ tail }) => (tail.length > 1 ? (tail[0] ?? "") : "")));
  const afters = rows.map((row) => afterBar(row, sizes, rates));
  const after = Math.max(
    0,
    ...rows.map(({ tail }, at) =>
      tail.length > 1 ? displayWidth(afters[at] ?? "") : noteColumns(afters[at] ?? "", sizes),
    ),
  );
  const groups = widest(rows.map(({ group }) => escapeText(group)));
  const longest = Math.min(widest(rows.map(({ name }) => escapeText(name))), widestName);
  const withGroups = usable - after - (groups + 2) - 4 >= names.without;
  const before = withGroups ? groups + 4 : 2;
  const hasBars = rows.some(({ done }) => done !== undefined);
  const { name, bar } = share(usable - before - 2 - after, longest, hasBars);
  return rows.map((row, at) => {
    const group = withGroups ? `${pad(escapeText(row.group), groups)}  ` : "";
    const head = `  ${group}${pad(cutName(escapeText(row.name), name), name)}  `;
    const drawn = drawBar(row.done, bar);
    const line = truncate(`${head}${drawn}${bar > 0 ? "  " : ""}${afters[at] ?? ""}`, usable);
    return colors
      ? colored(line.trimEnd(), head.length, drawn.length, row.finished)
      : line.trimEnd();
  });
}

/** Size, rate, time that is left: what a row says behind its bar. */
function afterBar({ size, tail }: Row, sizes: number, rates: number): string {
  const texts = tail.map((part, index) => {
    const text = escapeText(part);
    return index === 0 && tail.length > 1 ? pad(text, rates, "right") : text;
  });
  return [pad(size, sizes, "right"), ...texts].join("   ").trimEnd();
}

const noteColumns = (text: string, sizes: number): number =>
  Math.min(displayWidth(text), sizes + 3 + longestNote);

/** Divides what is left of a line: the bar shrinks first, then names, then the bar goes. */
function share(room: number, longest: number, hasBars: boolean): { name: number; bar: number } {
  if (!hasBars) return { name: Math.max(1, Math.min(longest, room)), bar: 0 };
  const least = Math.min(longest, names.withBar);
  const bar = Math.min(bars.widest, room - longest - 2);
  if (bar >= bars.narrowest) return { name: longest, bar };
  const name = room - bars.narrowest - 2;
  if (name >= least) return { name, bar: bars.narrowest };
  return { name: Math.max(1, Math.min(longest, room)), bar: 0 };
}

const widest = (texts: readonly string[]): number =>
  texts.reduce((most, text) => Math.max(most, displayWidth(text)), 0);

const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"] as const;

function drawBar(done: number | undefined, columns: number): string {
  if (done === undefined) return " ".repeat(columns);
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
