import type { Clock } from "../../../src/ui/clock.ts";
import { createProgress } from "../../../src/ui/progress.ts";
import type { Progress } from "../../../src/ui/progress-output.ts";
import type { ProgressMode } from "../../../src/ui/progress.ts";

/** A clock that only a test moves. */
export interface TestClock extends Clock {
  /** Lets milliseconds pass; what is due is called at its time. */
  pass(milliseconds: number): void;
}

function createTestClock(): TestClock {
  let now = 0;
  const timers = new Set<{ every: number; next: number; tick: () => void }>();
  return {
    now: () => now,
    every(milliseconds, tick) {
      const timer = { every: milliseconds, next: now + milliseconds, tick };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    pass(milliseconds) {
      const end = now + milliseconds;
      for (;;) {
        const due = [...timers].filter(({ next }) => next <= end);
        const [first] = due.toSorted((a, b) => a.next - b.next);
        if (first === undefined) break;
        now = first.next;
        first.next += first.every;
        first.tick();
      }
      now = end;
    },
  };
}

/** What a terminal shows of what was written to it: enough of one for the live region. */
export interface TestTerminal {
  write(text: string): void;
  /** Lines from the top, what was scrolled away included; without colours and spaces at their ends. */
  lines(): string[];
  columns: number;
  rows: number;
  /** The widest line so far, and all that was written. */
  widest: number;
  written: string;
}

const escape = String.raw`\u001B`;
const pattern = new RegExp(String.raw`${escape}\[(\d*)([A-Za-z])|\r|\n|([^${escape}\r\n]+)`, "gu");

function createTestTerminal(columns: number, rows = 24): TestTerminal {
  let screen: string[] = [""];
  let row = 0;
  let column = 0;
  const put = (text: string): void => {
    for (const character of text) {
      // A full line goes on in the next.
      if (column >= terminal.columns) {
        row += 1;
        column = 0;
      }
      const line = (screen[row] ?? "").padEnd(column);
      screen[row] = line.slice(0, column) + character + line.slice(column + 1);
      column += 1;
      terminal.widest = Math.max(terminal.widest, column);
    }
  };
  const control = (count: string, name: string): void => {
    if (name === "A") row = Math.max(0, row - Number(count || 1));
    else if (name === "K") screen[row] = (screen[row] ?? "").slice(0, column);
    else if (name === "J") screen = [...screen.slice(0, row), (screen[row] ?? "").slice(0, column)];
    else if (name !== "m") throw new Error(`the terminal does not know ${name}`);
  };
  const terminal: TestTerminal = {
    columns,
    rows,
    widest: 0,
    written: "",
    write(text) {
      terminal.written += text;
      for (const [whole, count = "", name, plain] of text.matchAll(pattern)) {
        if (name !== undefined) control(count, name);
        else if (plain !== undefined) put(plain);
        else if (whole === "\r") column = 0;
        else {
          row += 1;
          column = 0;
          screen[row] ??= "";
        }
      }
    },
    lines: () => {
      const shown = Array.from(screen, (line: string | undefined) => (line ?? "").trimEnd());
      while (shown.at(-1) === "") shown.pop();
      return shown;
    },
  };
  return terminal;
}

/** Progress drawn on a test's terminal by a test's clock. */
export function drawOn(
  mode: ProgressMode,
  { columns = 100, rows = 24, colors = false, verbose = false } = {},
): { terminal: TestTerminal; clock: TestClock; progress: Progress } {
  const terminal = createTestTerminal(columns, rows);
  const clock = createTestClock();
  const size = () => ({ columns: terminal.columns, rows: terminal.rows });
  const progress = createProgress(mode, { write: terminal.write, size, colors, verbose }, clock);
  return { terminal, clock, progress };
}
