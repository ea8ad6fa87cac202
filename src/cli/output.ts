import { fstatSync, readFileSync, writeSync } from "node:fs";
import { isatty } from "node:tty";
import { OcibundleError, errno } from "../errors.ts";
import { faultReason } from "../runtime/file-faults.ts";

/** Where text goes: a standard stream, or what a test reads. */
export interface Output {
  /** Standard output throws `system` where it can't be written; standard error never throws. */
  write(content: string | Uint8Array): void;
  readonly isTerminal: boolean;
  /** Columns and rows of the terminal as it is now. */
  size(): { columns: number; rows: number };
}

const unknownSize = { columns: 80, rows: 24 };

/**
 * Standard output (1) or error (2). Writes are done when they return, so nothing is lost however the process
 * ends, and the stream of the runtime, slow to make, is only made for the size of a terminal.
 *
 * A reader that closed its end of the pipe (`ocibundle … | head -1`) is no failure: the run continues and
 * further output is dropped. Any other error on standard output is one. Errors on standard error drop the
 * text and nothing else: a full log disk or a closed terminal must not decide what becomes of a transfer.
 */
export function processOutput(descriptor: 1 | 2): Output {
  const encoder = new TextEncoder();
  const isTerminal = isatty(descriptor);
  let gone = false;
  const writeAll = (bytes: Uint8Array): void => {
    if (descriptor === 1 && wasClosed(descriptor)) throw unwritable("it is closed");
    let left = bytes;
    while (left.length > 0 && !gone) {
      try {
        left = left.subarray(writeSync(descriptor, left));
      } catch (error) {
        const code = errno(error);
        if (code === "EPIPE") gone = true;
        else if (code === "EAGAIN") waitForReader();
        else if (code !== "EINTR") throw unwritable(faultReason(error), error);
      }
    }
  };
  return {
    isTerminal,
    write(content) {
      const bytes = typeof content === "string" ? encoder.encode(content) : content;
      if (descriptor === 1) {
        writeAll(bytes);
        return;
      }
      try {
        writeAll(bytes);
      } catch {
        // There is no other place to report it. The next line is tried again: the disk may have room by then.
      }
    },
    size() {
      if (!isTerminal) return unknownSize;
      const { columns, rows } = terminalSize(descriptor);
      // Some terminals (serial lines, fresh ptys) say 0.
      return { columns: columns || unknownSize.columns, rows: rows || unknownSize.rows };
    },
  };
}

function terminalSize(descriptor: 1 | 2): { columns: number; rows: number } {
  try {
    return descriptor === 1 ? process.stdout : process.stderr;
  } catch {
    // A terminal that was closed meanwhile.
    return unknownSize;
  }
}

const unwritable = (reason: string, cause?: unknown): OcibundleError =>
  new OcibundleError("system", `cannot write to standard output: ${reason}`, { cause });

/**
 * Whether the process was started without this descriptor (`>&-`). The runtime opens /dev/null in its place,
 * with close-on-exec: an inherited descriptor can't have that flag. Only Linux tells; elsewhere it is false.
 */
function wasClosed(descriptor: number): boolean {
  try {
    if (!fstatSync(descriptor).isCharacterDevice() || isatty(descriptor)) return false;
    const [, flags] = /^flags:\s*0(\d+)$/m.exec(
      readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8"),
    ) ?? ["", "0"];
    return (Number.parseInt(flags ?? "0", 8) & closeOnExec) !== 0;
  } catch {
    return false;
  }
}

/** O_CLOEXEC on Linux, for every architecture that there is a binary for. */
const closeOnExec = 0o2_000_000;

/** Another program can have made the pipe non-blocking: then a slow reader is an error, and a reason to wait. */
function waitForReader(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
}
