import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { OcibundleError } from "../../errors.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import { readOwnFile } from "../../runtime/trusted-file.ts";
import type { WaitReport } from "../../report/wait.ts";
import { markerDirectory } from "../../store/placement/dest-rule.ts";

/** Looks at the markers in milliseconds. Watching would be quicker, and does not work on every file system. */
const pause = 200;
const maxBytes = 64 * 1024;

/**
 * Waits until a pull says, in `.cog` of a directory, that its files are there. Throws `conflict` with the
 * message where it says that it failed, `not_found` after `timeout` milliseconds. A pull that failed before it knew
 * this directory has said so in the one that it was to pull into, which is above.
 */
export async function waitForWeights(
  { cwd, signal, emit }: { cwd: string; signal: AbortSignal; emit: EmitEvent },
  { dir: named, timeout }: { dir: string; timeout: number | undefined },
): Promise<WaitReport> {
  const dir = resolve(cwd, named);
  const until = timeout === undefined ? Infinity : performance.now() + timeout;
  for (let looks = 0; ; looks += 1) {
    const digest = read(dir, "ready");
    const failed = read(dir, "failed") ?? (digest === undefined ? failedAbove(dir) : undefined);
    if (failed !== undefined) {
      throw new OcibundleError("conflict", `the pull failed: ${failed}`, {
        subject: `"${named}"`,
        hint: "check the output of the pull",
      });
    }
    if (digest !== undefined) return { dir, digest };
    if (performance.now() >= until) {
      throw new OcibundleError("not_found", "no weights are ready", {
        subject: `"${named}"`,
        hint: `specify the directory that contains ${markerDirectory}, or increase --timeout`,
      });
    }
    // Who waits in the wrong directory waits for ever.
    if (looks === 0) {
      emit({ type: "note", message: `waiting for "${join(named, markerDirectory, "ready")}"` });
    }
    const left = Math.min(pause, Math.max(1, until - performance.now()));
    await sleep(left, undefined, { signal }).catch(() => undefined);
    signal.throwIfAborted();
  }
}

/** What a pull above a directory without markers says of its failure. */
function failedAbove(dir: string): string | undefined {
  if (existsSync(join(dir, markerDirectory, "downloading"))) return undefined;
  for (let at = dir, above = dirname(at); above !== at; at = above, above = dirname(at)) {
    const failed = read(above, "failed");
    if (failed !== undefined) return failed;
  }
  return undefined;
}

function read(dir: string, marker: string): string | undefined {
  try {
    const bytes = readOwnFile(join(dir, markerDirectory, marker), { maxBytes, ofAnyone: true });
    return bytes && new TextDecoder().decode(bytes).trim();
  } catch {
    return undefined;
  }
}
