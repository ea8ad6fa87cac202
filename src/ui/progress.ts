import { createBarProgress } from "./bar-progress.ts";
import { systemClock } from "./clock.ts";
import type { Clock } from "./clock.ts";
import { createJsonProgress } from "./json-progress.ts";
import { createMessages } from "./messages.ts";
import { createPlainProgress } from "./plain-progress.ts";
import type { Progress, ProgressOutput } from "./progress-output.ts";

/** How progress is drawn: `--progress`, once it is known what `auto` stands for. */
export type ProgressMode = "bar" | "plain" | "json" | "none";

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
