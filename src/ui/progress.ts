import type { EmitEvent } from "../transfer/events.ts";
import { createBarProgress } from "./bar-progress.ts";
import { systemClock } from "./clock.ts";
import type { Clock } from "./clock.ts";
import { createJsonProgress } from "./json-progress.ts";
import { createMessages } from "./messages.ts";
import { createPlainProgress } from "./plain-progress.ts";

export type ProgressMode = "bar" | "plain" | "json" | "none";

/** Where progress is drawn: standard error, or what a test reads. */
export interface ProgressOutput {
  write(text: string): void;
  /** Columns and rows of the terminal as it is now. */
  size(): { columns: number; rows: number };
  colors: boolean;
  /** Whether details are shown too. */
  verbose: boolean;
}

/** Draws the events of a run. */
export interface Progress {
  emit: EmitEvent;
  /** Writes text where it does not break what is being drawn. */
  print(text: string): void;
  /** Leaves what is drawn as it is, so that something else may write to the terminal; a later event draws anew. */
  settle(): void;
  /** Draws the last state, and nothing after it. */
  close(): void;
}

/** Starts drawing in one of the ways of `--progress`. Warnings are shown in all of them. */
export function createProgress(
  mode: ProgressMode,
  output: ProgressOutput,
  clock: Clock = systemClock,
): Progress {
  if (mode === "bar") return createBarProgress(output, clock);
  if (mode === "plain") return createPlainProgress(output, clock);
  if (mode === "json") return createJsonProgress(output, clock);
  const messages = createMessages(output);
  return { emit: messages.show, print: output.write, settle() {}, close() {} };
}
