import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { OcibundleError, withContext } from "../../errors.ts";
import type { BlobToMove } from "../../oci/content.ts";
import type { WeightsPart } from "../graph/assemble.ts";
import { defaultLock, readChosenLock } from "../places/lock-source.ts";
import { checkWeights, type ComparedParts } from "./check-weights.ts";
import { projectWeightPaths, type WeightPaths } from "./project-weights.ts";
import type { OriginalFile } from "../layout/original-file.ts";
import type { Session } from "../session/session.ts";
import { remoteFiles } from "../weights/remote-files.ts";
import type { RemoteFile } from "../weights/remote-file.ts";
import { storedWeights } from "../weights/stored-weights.ts";
import { type PartTarget, sendParts } from "../weights/send-parts.ts";
import type { PartsCompression } from "../weights/store-parts.ts";
import { weightBlobs } from "../weights/weight-blobs.ts";
import { originalFile } from "../weights/original-weight.ts";
import type { WeightSources } from "../weights/lock-sources.ts";
import { shownSource } from "../format/source-uri.ts";
import { quoted, type WeightEntry } from "../format/weight-entry.ts";
import {
  fileSources,
  findWeightFiles,
  pathSources,
  type WeightSource,
} from "../weights/weight-files.ts";
import { emptyConfig, emptyConfigBytes, weightsManifest } from "../format/weights-artifact.ts";
import { lockPartsOf } from "../parts/lock-parts.ts";
import { recipeConfig } from "../layout/parts.ts";
import { cutEntries, type SplitChoice } from "./cut-entries.ts";
import { readOptions } from "./read-options.ts";
import { formsOf, withStoredParts } from "./stored-parts.ts";
import { parseWeightsLock, type WeightsLock } from "../format/weights-lock.ts";

/** Where the lock is and where its files lie, as the command line says. */
export interface WeightsChoice {
  /** Directories that hold the lock's files. */
  weights: readonly string[];
  /** `NAME=PATH` for single files. */
  file: readonly string[];
  /** Patterns as in .gitignore, for the directories and for those of the project file. */
  include?: readonly string[] | undefined;
  exclude?: readonly string[] | undefined;
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

/**
 * Where each file of the lock lies. What flags name must be there, and a directory that is named must have
 * all files that no `--file` names: a file that is not in it is not what the lock says. With `--file` alone
 * the other files need not be on this machine; `missing` is thrown when they turn out to be needed.
 */
async function weightPaths(
  session: Session,
  { weights, file, include, exclude }: WeightsChoice,
  lock: string,
  entries: readonly WeightEntry[],
): Promise<WeightPaths> {
  const { cwd, signal } = session;
  const patterns = { include, exclude };
  const lacks = (where: string): OcibundleError =>
    new OcibundleError("file", `listed in ${lock}, but ${where}`, {
      hint: "specify its directory with --weights DIR, or the file with --file NAME=PATH",
    });
  if (weights.length === 0 && file.length === 0) {
    const found = await projectWeightPaths(session, lock, entries, patterns);
    if (found !== undefined) return found;
    const none = { paths: new Map(), remotes: new Map(), unlocked: [] };
    return { ...none, missing: () => lacks("no --weights or --file was given") };
  }
  const files = fileSources(file, cwd);
  await checkFileFlags(files, entries, lock);
  const found = await findWeightFiles(
    [...files, ...pathSources(weights, cwd, undefined, patterns)],
    {
      signal,
      except: [resolve(cwd, lock)],
      remoteFiles: (address, choice) => remoteFiles(session, address, choice),
    },
  );
  const paths = new Map<string, string>();
  const remotes = new Map<string, RemoteFile>();
  for (const { name, path, remote } of found) {
    if (remote === undefined) paths.set(name, path);
    else remotes.set(name, remote);
  }
  const isThere = (name: string): boolean => paths.has(name) || remotes.has(name);
  const missing = () => lacks(`not among the files of ${flagsOf(weights, file)}`);
  const lost = weights.length === 0 ? undefined : entries.find(({ name }) => !isThere(name));
  if (lost !== undefined) throw withContext(`weight ${quoted(lost.name)}`, missing());
  const locked = new Set(entries.map(({ name }) => name));
  const unlocked = found.map(({ name }) => name).filter((name) => !locked.has(name));
  return { paths, remotes, unlocked, missing };
}

const flagsOf = (weights: readonly string[], file: readonly string[]): string =>
  [
    ...weights.map((directory) => `--weights ${quoted(shownSource(directory))}`),
    ...(file.length === 0 ? [] : ["--file"]),
  ].join(", ");

/** Each `--file` says where one file of the lock lies. Throws `usage`. */
async function checkFileFlags(
  sources: readonly WeightSource[],
  entries: readonly WeightEntry[],
  lock: string,
): Promise<void> {
  const names = new Set(entries.map(({ name }) => name));
  for (const { name = "", path } of sources) {
    if (!names.has(name)) {
      const some = [...names].slice(0, 5).map(quoted).join(", ");
      throw new OcibundleError("usage", `--file ${name}=…: ${lock} has no ${quoted(name)}`, {
        hint: `it has ${some}${names.size > 5 ? ", …" : ""}`,
      });
    }
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isDirectory() === true) {
      throw new OcibundleError("usage", `--file ${name}=…: "${path}" is a directory`, {
        hint: "use --weights DIR for directories",
      });
    }
  }
}

/** Warns of files that the lock does not list: they are not pushed. */
function tellUnlocked({ emit }: Session, unlocked: readonly string[], lock: string): void {
  const [first, ...more] = unlocked;
  if (first === undefined) return;
  const others = more.length === 0 ? "is" : `and ${more.length} more are`;
  emit({ type: "warning", message: `weight ${quoted(first)} ${others} not in ${lock}` });
}
