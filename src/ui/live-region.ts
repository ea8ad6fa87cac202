import { displayWidth } from "./text.ts";

interface TerminalOutput {
  write(text: string): void;
  size(): { columns: number; rows: number };
}

/** The last few lines of a terminal, drawn again and again. */
export interface LiveRegion {
  /** Draws lines in the place of those drawn before. They may have colours, and no line breaks. */
  draw(lines: readonly string[]): void;
  /** Takes the lines away. */
  clear(): void;
  /** Leaves the lines where they are; the next ones are drawn below. */
  keep(): void;
}

/** The cursor stands at the start of the line below the region, so that whatever writes next breaks nothing. */
export function createLiveRegion({ write, size }: TerminalOutput): LiveRegion {
  let widths: number[] = [];
  // A terminal that was made narrower has wrapped the lines that are there.
  const goToTop = (): string => {
    const { columns } = size();
    const rows = widths.reduce(
      (sum, width) => sum + Math.max(1, Math.ceil(width / Math.max(1, columns))),
      0,
    );
    return rows === 0 ? "" : `\u001B[${rows}A\r`;
  };
  return {
    draw(lines) {
      const top = goToTop();
      widths = lines.map(displayWidth);
      write(`${top}${lines.map((line) => `${line}\u001B[K\n`).join("")}\u001B[J`);
    },
    clear() {
      if (widths.length > 0) write(`${goToTop()}\u001B[J`);
      widths = [];
    },
    keep() {
      widths = [];
    },
  };
}
