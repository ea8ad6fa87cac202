import { writeSync } from "node:fs";
import { isatty } from "node:tty";
import { errno } from "../errors.ts";

/** Where text goes: a standard stream, or what a test reads. */
export interface Output {
  write(content: string | Uint8Array): void;
  readonly isTerminal: boolean;
  /** Columns and rows of the terminal as it is now. */
  size(): { columns: number; rows: number };
}

const unknownSize = { columns: 80, rows: 24 };

/**
 * Standard output (1) or error (2). Writes are done when they return, so nothing is lost however the process
 * ends, and the stream of the runtime, slow to make, is only made for the size of a terminal. A reader that
 * went away (`ocibundle … | head -1`) is no failure: the work goes on, and what it says is dropped.
 */
export function processOutput(descriptor: 1 | 2): Output {
  const encoder = new TextEncoder();
  const isTerminal = isatty(descriptor);
  let gone = false;
  return {
    isTerminal,
    write(content) {
      let left = typeof content === "string" ? encoder.encode(content) : content;
      while (left.length > 0 && !gone) {
        try {
          left = left.subarray(writeSync(descriptor, left));
        } catch (error) {
          if (errno(error) === "EPIPE") gone = true;
          else if (errno(error) === "EAGAIN") waitForReader();
          else throw error;
        }
      }
    },
    size() {
      if (!isTerminal) return unknownSize;
      const { columns, rows } = descriptor === 1 ? process.stdout : process.stderr;
      // Some terminals (serial lines, fresh ptys) say 0.
      return { columns: columns || unknownSize.columns, rows: rows || unknownSize.rows };
    },
  };
}

/** Another program can have made the pipe non-blocking: then a slow reader is an error, and a reason to wait. */
function waitForReader(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
}
