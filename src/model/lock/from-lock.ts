import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import pLimit from "p-limit";
import { OcibundleError, withContext } from "../../errors.ts";
import type { BlobToMove } from "../../oci/content.ts";
import { openFileRecords } from "../../store/records/file-records.ts";
import type { WeightsPart } from "../graph/assemble.ts";
import { readOptions } from "./lock.ts";
import { defaultLock, readChosenLock } from "../places/lock-source.ts";
import { readProjectFile } from "../format/project-file.ts";
import { readWeightFiles } from "../weights/read-weight-files.ts";
import type { Session } from "../session/session.ts";
import { storedWeights } from "../weights/stored-weights.ts";
import { lockAgain, statWeight, weightBlobs } from "../weights/weight-blobs.ts";
import { quoted, type WeightEntry } from "../format/weight-entry.ts";
import {
  fileSources,
  findWeightFiles,
  pathSources,
  projectSources,
  type WeightSource,
} from "../weights/weight-files.ts";
import { emptyConfig, emptyConfigBytes, weightsManifest } from "../format/weights-artifact.ts";
import { parseWeightsLock } from "../format/weights-lock.ts";

/** Where the lock is and where its files lie, as the command line says. */
export interface WeightsChoice {
  weights: readonly string[];
  file: readonly string[];
  lock: string | undefined;
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
  const lock = choice.lock ?? defaultLock;
  const bytes = await readChosenLock(session.cwd, choice.lock);
  if (bytes === undefined) return undefined;
  const { files } = parseWeightsLock(bytes, lock);
  if (files.length === 0) {
    throw new OcibundleError("file", `${lock} lists no files`, {
      hint: "lock the weights, as `ocibundle lock ./weights`, or remove the lock where there are none",
    });
  }
  const manifest = weightsManifest(files);
  const { paths, missing } = await weightPaths(session, choice, lock, files);
  await checkFiles(session, files, paths, lock);
  tellUnlocked(session, files, paths, lock);
  const stored = storedWeights(session, lock);
  return {
    manifest,
    blobs: [emptyConfigBlob, ...weightBlobs(files, { lock, paths, missing, stored })],
  };
}

const emptyConfigBlob: BlobToMove = {
  descriptor: emptyConfig,
  label: "config of the weights",
  group: "weights",
  source: () => Promise.resolve({ kind: "bytes", bytes: emptyConfigBytes }),
};

type Paths = ReadonlyMap<string, string>;

/**
 * Where each file of the lock lies. What flags name must be there. What the project file names may be
 * missing: weights that were pushed already need not be on this machine; `missing` is thrown when they
 * turn out to be needed.
 */
async function weightPaths(
  { cwd, signal }: Session,
  { weights, file }: WeightsChoice,
  lock: string,
  entries: readonly WeightEntry[],
): Promise<{ paths: Paths; missing(): OcibundleError }> {
  const find = async (sources: readonly WeightSource[]): Promise<Paths> => {
    const found = await findWeightFiles(sources, { signal, except: [resolve(cwd, lock)] });
    return new Map(found.map(({ name, path }) => [name, path]));
  };
  const lacks = (where: string) => () =>
    new OcibundleError("file", `${lock} has it, but ${where}`, {
      hint: "name the folder that has it with --weights DIR, or the file with --file NAME=PATH",
    });
  if (weights.length > 0 || file.length > 0) {
    const files = fileSources(file, cwd);
    await checkFileFlags(files, entries, lock);
    const paths = await find([...files, ...pathSources(weights, cwd)]);
    return { paths, missing: lacks(`it is not among the files of ${flagsOf(weights, file)}`) };
  }
  const project = await readProjectFile(cwd);
  if (project === undefined) return { paths: new Map(), missing: lacks("no file is given for it") };
  try {
    const paths = await find(projectSources(project.project, project.path));
    return { paths, missing: lacks(`it is not among the weights of "${project.path}"`) };
  } catch (error) {
    if (error instanceof OcibundleError && error.code === "file") {
      return { paths: new Map(), missing: () => error };
    }
    throw error;
  }
}

const flagsOf = (weights: readonly string[], file: readonly string[]): string =>
  [
    ...weights.map((folder) => `--weights ${quoted(folder)}`),
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
      throw new OcibundleError("usage", `--file ${name}=…: "${path}" is a folder`, {
        hint: "folders are named with --weights DIR",
      });
    }
  }
}

/** Files looked at at once. */
const checksAtOnce = 16;

/**
 * Holds what is here against the lock. A file is read only when it was hashed before and has changed
 * since: one that was never hashed here is left to whoever receives it, and checks it as well.
 */
async function checkFiles(
  session: Session,
  files: readonly WeightEntry[],
  paths: Paths,
  lock: string,
): Promise<void> {
  const options = readOptions(session);
  const records = openFileRecords(session.cache);
  const limit = pLimit(checksAtOnce);
  const doubtful: { entry: WeightEntry; path: string }[] = [];
  const check = async (entry: WeightEntry): Promise<void> => {
    const path = paths.get(entry.name);
    if (path === undefined) return;
    const stats = await statWeight(entry, path, lock);
    const known = await records.find(path, stats);
    if (known !== undefined) checkDigest(entry, path, known.digest, lock);
    else if (await records.knows(path)) doubtful.push({ entry, path });
  };
  await Promise.all(files.map((entry) => limit(() => about(entry, () => check(entry)))));
  const contents = await readWeightFiles(
    doubtful.map(({ entry: { name }, path }) => ({ name, path, choose: () => "none" as const })),
    { ...options, records },
  );
  for (const [index, { entry, path }] of doubtful.entries()) {
    const digest = contents[index]?.digest;
    if (digest === undefined) continue;
    await about(entry, async () => checkDigest(entry, path, digest, lock));
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
    `"${path}" has the digest ${digest}, ${lock} says ${entry.digestOriginal}`,
    { hint: lockAgain(lock) },
  );
}

/** Says which files of the given folders the lock does not know: they are not going anywhere. */
function tellUnlocked(
  { emit }: Session,
  files: readonly WeightEntry[],
  paths: Paths,
  lock: string,
): void {
  const locked = new Set(files.map(({ name }) => name));
  const [first, ...more] = [...paths.keys()].filter((name) => !locked.has(name));
  if (first === undefined) return;
  const others = more.length === 0 ? "is" : `and ${more.length} more are`;
  emit({ type: "warning", message: `weight ${quoted(first)} ${others} not in ${lock}` });
}
