import type { EmitEvent } from "../transfer/events.ts";

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
