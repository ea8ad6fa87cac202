import type { Writable } from "node:stream";
import { errno } from "../errors.ts";

/** Where text goes: a standard stream, or what a test reads. */
export interface Output {
  write(content: string | Uint8Array): void;
  readonly isTerminal: boolean;
  /** Columns and rows of the terminal as it is now. */
  size(): { columns: number; rows: number };
}

/** A standard stream of the process, and a way to wait until everything written has left it. */
export interface ProcessOutput extends Output {
  flush(): Promise<void>;
}

type ProcessStream = Writable & { isTTY?: boolean; columns?: number; rows?: number };

/**
 * Opens a standard stream at its first use. A reader that went away (`ocibundle … | head -1`) is no failure:
 * the work goes on, and what it says is dropped.
 */
export function processOutput(open: () => ProcessStream): ProcessOutput {
  let opened: ProcessStream | undefined;
  let gone = false;
  const stream = (): ProcessStream => {
    if (opened === undefined) {
      opened = open();
      opened.on("error", (error) => {
        if (errno(error) !== "EPIPE" && errno(error) !== "ERR_STREAM_DESTROYED") throw error;
        gone = true;
      });
    }
    return opened;
  };
  return {
    write(content) {
      if (!gone) stream().write(content);
    },
    get isTerminal() {
      return stream().isTTY === true;
    },
    size() {
      const { columns, rows } = stream();
      return { columns: columns ?? 80, rows: rows ?? 24 };
    },
    async flush() {
      const written = opened;
      if (written === undefined || gone) return;
      await new Promise<void>((resolve) => {
        written.once("close", resolve);
        written.once("error", () => {
          resolve();
        });
        written.write("", () => {
          resolve();
        });
      });
    },
  };
}
