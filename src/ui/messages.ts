import { LogLevels, createConsola } from "consola/core";
import type { FileAmount, TransferEvent } from "../transfer/events.ts";
import { formatDuration } from "./duration.ts";
import { formatSize } from "./size.ts";
import { escapeText } from "./text.ts";

interface MessageOutput {
  write(text: string): void;
  colors: boolean;
  verbose: boolean;
}

/** A wait that was shown: when, so often by now, and when it ends, in milliseconds. */
interface ShownWait {
  until: number;
  at: number;
  times: number;
}

/** Waits for the same reason are shown so often, and from then on only so seldom, in milliseconds: an outage is one. */
const oftenEnough = 3;
const seldom = 10_000;
/** What was not waited for so long is another time, in milliseconds. */
const forgotten = 60_000;

/** Shows what a run says in words. */
export interface Messages {
  /** Writes a line for a warning, and for a detail where details are wanted. Other events are not words. */
  show(event: TransferEvent): void;
  /**
   * Writes a line for a wait before another try, at `now` milliseconds. Requests that run side by side
   * meet the same failure: while one wait for it is shown, others are not. Of many in a row few are shown.
   */
  showWait(event: Extract<TransferEvent, { type: "wait" }>, now: number): void;
  /**
   * Writes a line for what a target has and lacks, and for what was done besides; part of the progress, so not
   * where none is shown.
   */
  showNews(event: TransferEvent): void;
}

const yellow = (text: string): string => `\u001B[33m${text}\u001B[39m`;
const faint = (text: string): string => `\u001B[2m${text}\u001B[22m`;
const asIs = (text: string): string => text;

/** Messages go through consola's core: its levels, our lines, and never standard output. */
export function createMessages({ write, colors, verbose }: MessageOutput): Messages {
  const prefixes = {
    warn: (colors ? yellow : asIs)("warning: "),
    debug: "",
    info: "",
  };
  const log = createConsola({
    level: verbose ? LogLevels.debug : LogLevels.info,
    // A warning said twice is two warnings.
    throttle: 0,
    reporters: [
      {
        log({ type, args }) {
          const text = escapeText(args.map(String).join(" "));
          const prefix = type === "warn" || type === "debug" ? prefixes[type] : prefixes.info;
          write(`${prefix}${colors && type === "debug" ? faint(text) : text}\n`);
        },
      },
    ],
  });
  const waits = new Map<string, ShownWait>();
  return {
    show(event) {
      if (event.type === "warning") log.warn(event.message);
      if (event.type === "detail") log.debug(event.message);
    },
    showNews(event) {
      if (event.type === "plan") log.info(planLine(event));
      if (event.type === "note") log.info(event.message);
    },
    showWait({ item, milliseconds, reason }, now) {
      const words = `${item === undefined ? "" : `${item}: `}${reason}`;
      for (const [shown, { at, until }] of waits) {
        if (now >= until && now - at > forgotten) waits.delete(shown);
      }
      const { until, at, times } = waits.get(words) ?? { until: now, at: -Infinity, times: 0 };
      if (now < until || (times >= oftenEnough && now - at < seldom)) return;
      waits.set(words, { until: now + milliseconds, at: now, times: times + 1 });
      log.info(`${words}; retrying in ${formatDuration(milliseconds)}`);
    },
  };
}

const blobsOf = ({ files, bytes }: FileAmount): string =>
  `${files} ${files === 1 ? "blob" : "blobs"}, ${formatSize(bytes)}`;

const partOf = ({ files, bytes }: FileAmount, what: string): string =>
  `${files} ${what} (${formatSize(bytes)})`;

/** `weights: 12 blobs, 16.1 GiB; 4 up to date (15.9 GiB), 8 to send (9.0 MiB)`: fits a terminal. */
function planLine({
  all,
  present,
  moved,
  missing,
}: Extract<TransferEvent, { type: "plan" }>): string {
  const line = `weights: ${blobsOf(all)}`;
  const before = {
    files: present.files - moved.files,
    bytes: present.bytes - moved.bytes,
  };
  if (before.files === all.files) return `${line}, all up to date`;
  if (moved.files === all.files) return `${line}, all done`;
  if (missing.files === all.files) return `${line} to send`;
  const parts = [
    ...(moved.files === 0 ? [] : [partOf(moved, "done")]),
    ...(before.files === 0 ? [] : [partOf(before, "up to date")]),
    ...(missing.files === 0 ? [] : [partOf(missing, "to send")]),
  ];
  return `${line}; ${parts.join(", ")}`;
}
