import { rm, rmdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { markerDirectory } from "../../store/placement/dest-rule.ts";
import { type Markers, openMarkers } from "./markers.ts";

/**
 * Says that weights will not come whose dests are not known yet: in the markers' directory of the directory pulled
 * into. Not in a working directory that nobody named. Never throws.
 */
export async function markEarlyFailure(
  cwd: string,
  output: string,
  error: unknown,
  signal: AbortSignal,
): Promise<void> {
  // Who was interrupted has not failed: the next run goes on from what is there.
  if (output === "." || signal.aborted) return;
  await markFailure(resolve(cwd, output), error instanceof Error ? error.message : String(error));
}

async function markFailure(dir: string, message: string): Promise<void> {
  try {
    const markers = openMarkers(dir, []);
    await markers.make();
    await markers.failed(message);
    await markers.close();
  } catch {
    // A directory that can't be written to: the failure itself is what counts.
  }
}

/** Takes back what an earlier run said before it knew where the markers belong. Never throws. */
export async function takeBackEarlyFailure(dir: string, { path }: Markers): Promise<void> {
  const early = join(dir, markerDirectory);
  if (path === early) return;
  await rm(join(early, "failed"), { force: true }).catch(() => undefined);
  // Where something else is in it, it stays.
  await rmdir(early).catch(() => undefined);
}
