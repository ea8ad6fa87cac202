import { OcibundleError } from "../../errors.ts";
import type { BlobToMove } from "../../oci/content.ts";
import type { WeightsPart } from "../graph/assemble.ts";
import { defaultLock, readChosenLock } from "../places/lock-source.ts";
import { checkWeights, type ComparedParts } from "./check-weights.ts";
import type { OriginalFile } from "../layout/original-file.ts";
import type { Session } from "../session/session.ts";
import { storedWeights } from "../weights/stored-weights.ts";
import { type PartTarget, sendParts } from "../weights/send-parts.ts";
import type { PartsCompression } from "../weights/store-parts.ts";
import { weightBlobs } from "../weights/weight-blobs.ts";
import { originalFile } from "../weights/original-weight.ts";
import type { WeightSources } from "../weights/lock-sources.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { emptyConfig, emptyConfigBytes, weightsManifest } from "../format/weights-artifact.ts";
import { lockPartsOf } from "../parts/lock-parts.ts";
import { recipeConfig } from "../layout/parts.ts";
import { cutEntries, type SplitChoice } from "./cut-entries.ts";
import { readOptions } from "./read-options.ts";
import { formsOf, withStoredParts } from "./stored-parts.ts";
import { parseWeightsLock, type WeightsLock } from "../format/weights-lock.ts";
import { type FilesChoice, tellUnlocked, weightPaths } from "./weight-paths.ts";

/** Where the lock is and where its files lie, as the command line says. */
export interface WeightsChoice extends FilesChoice {
  lock: string | undefined;
  /** The lock itself, which is not read from a file then. */
  given?: WeightsLock | undefined;
  /** Whether layers that are a file as it is get a title. */
  titles?: boolean | undefined;
}

/**
 * The weights artifact of the lock that is in force, or undefined where there is none.
 *
 * Files that are here are held against the lock: a push of weights that changed since they were locked
 * ends before anything is sent. Throws `file`, `usage`, `integrity`.
 */
export async function chosenWeights(
  session: Session,
  choice: WeightsChoice,
): Promise<WeightsPart | undefined> {
  const titles = choice.titles ?? true;
  const chosen = await readChoice(session, choice, titles ? "local" : "none");
  if (chosen === undefined) return undefined;
  const { files, sources } = chosen;
  // Who has a version of weights that are split fetches only what is new, in ranges.
  const recipe = titles
    ? recipeConfig(files.map((entry) => originalFile(entry, sources)))
    : undefined;
  return {
    manifest: weightsManifest(files, { titles, config: recipe?.descriptor }),
    blobs: [recipe ?? emptyConfigBlob, ...weightBlobs(files, sources)],
  };
}

/**
 * The files of the lock that is in force with their parts: where the lock has none, the files are cut by the
 * numbers of an earlier version, or by their own, and hashed. Parts are stored as the lock says unless something else
 * is asked for. Throws as `chosenWeights`.
 */
export async function chosenParts(
  session: Session,
  choice: WeightsChoice,
  how: SplitChoice & {
    compression?: PartsCompression | undefined;
    /**
     * Where parts of files that are not on this machine are sent when they are encoded; they stay as they are
     * without.
     */
    target?: PartTarget | undefined;
  },
): Promise<OriginalFile[] | undefined> {
  const chosen = await readChoice(session, choice, "all");
  if (chosen === undefined) return undefined;
  const { files: entries, sources } = chosen;
  const isLocked = entries.some((entry) => lockPartsOf(entry, sources.lock) !== undefined);
  const split = isLocked ? entries : await cutEntries(session, entries, sources, how);
  const { lock: on, paths } = sources;
  const stored =
    how.compression === undefined
      ? split
      : await withStoredParts(
          split,
          { choice: how.compression, paths, known: formsOf(split, on), on },
          readOptions(session),
        );
  const found = stored.map((entry) => originalFile(entry, sources));
  const files = await withSentParts(session, found, sources, how);
  // Asked for by name, it is for all files: also for those that the lock has compressed as one.
  return how.compression === "none" ? files.map(asItLies) : [...files];
}

/** Files of which those that are not on this machine have parts in the form that is chosen, sent already. */
async function withSentParts(
  session: Session,
  files: readonly OriginalFile[],
  { remotes }: Pick<WeightSources, "remotes">,
  { compression: choice, target }: Parameters<typeof chosenParts>[2],
): Promise<readonly OriginalFile[]> {
  if (choice === undefined || choice === "none" || target === undefined) return files;
  const remote = files.filter(({ name }) => remotes?.has(name) === true);
  const sent = await sendParts(remote, { ...readOptions(session), choice, target });
  const byName = new Map(sent.map((file) => [file.name, file]));
  return files.map((file) => byName.get(file.name) ?? file);
}

/** A file without its compressed form. */
const asItLies = (file: OriginalFile): OriginalFile => ({ ...file, stored: undefined });

/** The files of the lock that is in force, for layouts that store them in their own way; else as `chosenWeights`. */
export async function chosenFiles(
  session: Session,
  choice: WeightsChoice,
): Promise<OriginalFile[] | undefined> {
  const chosen = await readChoice(session, choice, "none");
  return chosen?.files.map((entry) => originalFile(entry, chosen.sources));
}

/** The lock that is in force, or undefined where there is none. Throws `file`. */
export const chosenLock = async (
  session: Pick<Session, "cwd">,
  choice: Pick<WeightsChoice, "given" | "lock">,
): Promise<WeightsLock | undefined> =>
  choice.given ?? readLock(session.cwd, choice.lock, choice.lock ?? defaultLock);

async function readChoice(
  session: Session,
  choice: WeightsChoice,
  compared: ComparedParts,
): Promise<{ files: WeightEntry[]; sources: WeightSources } | undefined> {
  const lock = choice.lock ?? defaultLock;
  const chosen = await chosenLock(session, choice);
  if (chosen === undefined) return undefined;
  const { files } = chosen;
  if (files.length === 0) {
    throw new OcibundleError("file", `${lock} lists no files`, {
      hint: "run `ocibundle lock ./weights`, or delete the lock",
    });
  }
  const { paths, remotes, unlocked, missing } = await weightPaths(session, choice, lock, files);
  await checkWeights(session, files, { lock, paths, remotes }, compared);
  tellUnlocked(session, unlocked, lock);
  const stored = storedWeights(session, lock);
  return { files, sources: { lock, paths, remotes, missing, stored } };
}

async function readLock(
  cwd: string,
  named: string | undefined,
  on: string,
): Promise<WeightsLock | undefined> {
  const bytes = await readChosenLock(cwd, named);
  return bytes === undefined ? undefined : parseWeightsLock(bytes, on);
}

const emptyConfigBlob: BlobToMove = {
  descriptor: emptyConfig,
  kind: "config",
  label: "config of the weights",
  group: "weights",
  source: () => Promise.resolve({ kind: "bytes", bytes: emptyConfigBytes }),
};
