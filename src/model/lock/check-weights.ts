import { OcibundleError, withContext } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import { quoted, type WeightEntry } from "../format/weight-entry.ts";
import { readOptions } from "./read-options.ts";
import type { Session } from "../session/session.ts";
import { readWeights } from "../weights/read-weights.ts";
import { recallRemote } from "../weights/recall-remote.ts";
import type { RemoteFile } from "../weights/remote-file.ts";
import { lockAgain, type WeightSources } from "../weights/lock-sources.ts";
import { statWeight } from "../weights/weight-source.ts";
import { compareParts, type PartsToCheck, partsToCheck } from "./check-parts.ts";

/** Files looked at at once. */
const checksAtOnce = 16;

/**
 * The entries whose parts are compared with their files: all where the weights are stored in them, and a file that is
 * not here is refused then; those of local files where they are a hint, which readers hold against the whole file.
 */
export type ComparedParts = "all" | "local" | "none";

/**
 * Compares each file that is on this machine with its entry of the lock, whatever the registry has: a blob
 * that is there already says nothing about the file. Files that are known to be unchanged since they were
 * hashed are not read again; all others are. All sizes are compared before the first file is read.
 *
 * Parts are hashed at the same time, unless it is known that a content with the entry's digest has them.
 *
 * `paths`: where each file lies, by its name in the lock. Throws `file` for what can't be read,
 * `integrity` for a file that is not what the lock says.
 */
export async function checkWeights(
  session: Session,
  entries: readonly WeightEntry[],
  {
    lock,
    paths,
    remotes = new Map<string, RemoteFile>(),
  }: Pick<WeightSources, "lock" | "paths" | "remotes">,
  compared: ComparedParts,
): Promise<void> {
  const options = readOptions(session);
  const { cutRecords } = options;
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
  const isCompared = ({ name }: WeightEntry): boolean =>
    compared === "all" || (compared === "local" && !remotes.has(name) && paths.has(name));
  const parts = new Map<WeightEntry, PartsToCheck>();
  for (const entry of entries) {
    if (!isCompared(entry)) continue;
    await about(entry, async () => {
      const found = await partsToCheck(entry, lock, cutRecords);
      if (found === undefined) return;
      if (!remotes.has(entry.name) && !paths.has(entry.name)) throw notHere(lock);
      parts.set(entry, found);
    });
  }
  const contents = await readWeights(
    files.map(({ entry, path, remote }) => ({
      name: entry.name,
      path,
      remote,
      expected: entry.digestOriginal,
      cut: parts.get(entry)?.cut,
      choose: () => "none" as const,
    })),
    options,
  );
  for (const [index, { entry, path }] of files.entries()) {
    const content = contents[index];
    if (content === undefined) throw new Error(`"${path}" has no content`);
    await about(entry, async () => {
      checkDigest(entry, path, content.digest, lock);
      const check = parts.get(entry);
      if (check === undefined) return;
      if (content.parts !== undefined) {
        await cutRecords?.add(content.digest, check.name, content.parts);
      }
      compareParts(check, content.parts, lock);
    });
  }
}

const notHere = (lock: string): OcibundleError =>
  new OcibundleError(
    "file",
    `its parts in ${lock} cannot be compared with its file, which is not on this machine`,
    { hint: "specify its directory with --weights DIR, or the file with --file NAME=PATH" },
  );

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
