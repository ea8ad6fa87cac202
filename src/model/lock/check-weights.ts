import { OcibundleError, withContext } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import { quoted, type WeightEntry } from "../format/weight-entry.ts";
import { readOptions } from "./read-options.ts";
import type { Session } from "../session/session.ts";
import { readWeights } from "../weights/read-weights.ts";
import { recallRemote } from "../weights/recall-remote.ts";
import type { RemoteFile } from "../weights/remote-file.ts";
import { lockAgain, statWeight } from "../weights/weight-blobs.ts";

/** Files looked at at once. */
const checksAtOnce = 16;

/**
 * Compares each file that is on this machine with its entry of the lock, whatever the registry has: a blob
 * that is there already says nothing about the file. Files that are known to be unchanged since they were
 * hashed are not read again; all others are. All sizes are compared before the first file is read.
 *
 * `paths`: where each file lies, by its name in the lock. Throws `file` for what can't be read,
 * `integrity` for a file that is not what the lock says.
 */
export async function checkWeights(
  session: Session,
  entries: readonly WeightEntry[],
  paths: ReadonlyMap<string, string>,
  lock: string,
  remotes: ReadonlyMap<string, RemoteFile> = new Map(),
): Promise<void> {
  const files = entries.flatMap((entry) => {
    const remote = remotes.get(entry.name);
    const path = remote?.uri ?? paths.get(entry.name);
    recallRemote(remote, entry);
    return path === undefined ? [] : [{ entry, path, remote }];
  });
  await parallel(files, checksAtOnce, session.signal, ({ entry, path, remote }) =>
    about(entry, async () => {
      if (remote === undefined) await statWeight(entry, path, lock);
    }),
  );
  const contents = await readWeights(
    files.map(({ entry, path, remote }) => ({
      name: entry.name,
      path,
      remote,
      expected: entry.digestOriginal,
      choose: () => "none" as const,
    })),
    readOptions(session),
  );
  for (const [index, { entry, path }] of files.entries()) {
    const content = contents[index];
    if (content === undefined) throw new Error(`"${path}" has no content`);
    await about(entry, async () => checkDigest(entry, path, content.digest, lock));
  }
}

/** Work on one weight, whose name goes into its errors. */
async function about(entry: WeightEntry, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw withContext(`weight ${quoted(entry.name)}`, error);
  }
}

function checkDigest(entry: WeightEntry, path: string, digest: string, lock: string): void {
  if (digest === entry.digestOriginal) return;
  throw new OcibundleError(
    "integrity",
    `"${path}" has digest ${digest}, expected ${entry.digestOriginal} (${lock})`,
    { hint: lockAgain(lock) },
  );
}
