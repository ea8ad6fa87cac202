import { resolve } from "node:path";
import pLimit from "p-limit";
import { OcibundleError, withContext } from "../errors.ts";
import type { BlobToMove } from "../oci/content.ts";
import type { WeightsPart } from "./assemble.ts";
import { defaultLock, readChosenLock } from "./lock-source.ts";
import { readProjectFile } from "./project-file.ts";
import type { Session } from "./session.ts";
import { storedWeights } from "./stored-weights.ts";
import { checkAgainstLock, type StoredWeights, weightBlobs } from "./weight-blobs.ts";
import { quoted, type WeightEntry } from "./weight-entry.ts";
import {
  fileSources,
  findWeightFiles,
  pathSources,
  projectSources,
  type WeightSource,
} from "./weight-files.ts";
import { emptyConfig, emptyConfigBytes, weightsManifest } from "./weights-artifact.ts";
import { parseWeightsLock } from "./weights-lock.ts";

/** Where the lock is and where its files lie, as the command line says. */
export interface WeightsChoice {
  weights: readonly string[];
  file: readonly string[];
  lock: string | undefined;
}

/**
 * The weights artifact of the lock that is in force, or undefined where there is none.
 *
 * Files that are here are held against the lock by what is known without reading them: a push of
 * weights that changed since ends before anything is sent. Throws `file`, `usage`, `integrity`.
 */
export async function chosenWeights(
  session: Session,
  choice: WeightsChoice,
): Promise<WeightsPart | undefined> {
  const lock = choice.lock ?? defaultLock;
  const bytes = await readChosenLock(session.cwd, choice.lock);
  if (bytes === undefined) return undefined;
  const { files } = parseWeightsLock(bytes, lock);
  const { paths, missing } = await weightPaths(session, choice, resolve(session.cwd, lock));
  const stored = storedWeights(session);
  await checkFiles(files, paths, stored);
  tellUnlocked(session, files, paths, lock);
  return {
    manifest: weightsManifest(files),
    blobs: [emptyConfigBlob, ...weightBlobs(files, { paths, missing, stored })],
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
  lockPath: string,
): Promise<{ paths: Paths; missing?: OcibundleError }> {
  const find = async (sources: readonly WeightSource[]): Promise<Paths> => {
    const found = await findWeightFiles(sources, { signal, except: [lockPath] });
    return new Map(found.map(({ name, path }) => [name, path]));
  };
  if (weights.length > 0 || file.length > 0) {
    return { paths: await find([...fileSources(file, cwd), ...pathSources(weights, cwd)]) };
  }
  const project = await readProjectFile(cwd);
  if (project === undefined) return { paths: new Map() };
  try {
    return { paths: await find(projectSources(project.project, project.path)) };
  } catch (error) {
    if (error instanceof OcibundleError && error.code === "file") {
      return { paths: new Map(), missing: error };
    }
    throw error;
  }
}

/** Files looked at at once. */
const checksAtOnce = 16;

async function checkFiles(
  files: readonly WeightEntry[],
  paths: Paths,
  stored: StoredWeights,
): Promise<void> {
  const limit = pLimit(checksAtOnce);
  await Promise.all(
    files.map((entry) =>
      limit(async () => {
        const path = paths.get(entry.name);
        if (path === undefined) return;
        try {
          await checkAgainstLock(entry, path, stored);
        } catch (error) {
          throw withContext(`weight ${quoted(entry.name)}`, error);
        }
      }),
    ),
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
