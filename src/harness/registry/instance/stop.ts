import { setTimeout as sleep } from "node:timers/promises";
import { errno } from "../../../errors.ts";
import { isDirectory } from "../storage/files.ts";
import { answers } from "./identity.ts";
import { type InstanceRecord, recordPlace, removeInstance } from "./record.ts";
import { removeTemporary } from "./run.ts";
import { runningInstance, type StartContext } from "./start.ts";

/** How long the process may take to end by itself, in milliseconds, and between two looks. */
const patience = 5000;
const pause = 10;

/**
 * Ends the registry of the working directory, and removes what it stored unless its storage was given.
 * Resolves to what ran; undefined when nothing did.
 */
export async function stopRegistry(context: StartContext): Promise<InstanceRecord | undefined> {
  const place = await recordPlace(context.cwd, context.env);
  const running = await runningInstance(place);
  if (running === undefined) return undefined;
  tell(running.pid, "SIGTERM");
  const deadline = Date.now() + patience;
  while (await isThere(running)) {
    if (Date.now() > deadline) {
      tell(running.pid, "SIGKILL");
      break;
    }
    await sleep(pause, undefined, { signal: context.signal });
  }
  if (running.temporary) removeTemporary(running.storage);
  await removeInstance(place, running.instance);
  return running;
}

/** Whether it still serves or stores. A process that ended may keep its id until its parent has looked. */
const isThere = async (record: InstanceRecord): Promise<boolean> =>
  tell(record.pid, 0) &&
  ((await answers(record)) || (record.temporary && (await isDirectory(record.storage))));

/** Sends a signal; false when there is no such process. */
function tell(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (errno(error) === "ESRCH") return false;
    throw error;
  }
}
