import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { OcibundleError } from "../../errors.ts";
import { readOwnFile } from "../../runtime/own-file.ts";
import type { WaitReport } from "../../report/wait.ts";
import { markerDirectory } from "../../store/placement/dest-rule.ts";

/** Looks at the markers in milliseconds. Watching would be quicker, and does not work on every file system. */
const pause = 200;
const maxBytes = 64 * 1024;

/**
 * Waits until a pull says, in `.cog` of a directory, that its files are there. Throws `conflict` with the
 * message where it says that it failed, `not_found` after `timeout` milliseconds.
 */
export async function waitForWeights(
  { cwd, signal }: { cwd: string; signal: AbortSignal },
  { dir: named, timeout }: { dir: string; timeout: number | undefined },
): Promise<WaitReport> {
  const dir = resolve(cwd, named);
  const until = timeout === undefined ? Infinity : performance.now() + timeout;
  for (;;) {
    const digest = read(dir, "ready");
    const failed = read(dir, "failed");
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
    const left = Math.min(pause, Math.max(1, until - performance.now()));
    await sleep(left, undefined, { signal }).catch(() => undefined);
    signal.throwIfAborted();
  }
}

function read(dir: string, marker: string): string | undefined {
  try {
    const bytes = readOwnFile(join(dir, markerDirectory, marker), { maxBytes, ofAnyone: true });
    return bytes && new TextDecoder().decode(bytes).trim();
  } catch {
    return undefined;
  }
}
