import { resolve } from "node:path";
import { errno, OcibundleError } from "../../errors.ts";
import { readDocument } from "../../runtime/read-document.ts";
import { isStreamed } from "../../store/output-file.ts";
import type { CompressionChoice } from "../format/compression.ts";
import { checkComplete } from "./check-complete.ts";
import type { SplitChoice } from "./cut-entries.ts";
import { checkDest } from "../format/weight-dest.ts";
import { lockDrift } from "./lock-drift.ts";
import { type LockResult, lockWeights } from "./lock-weights.ts";
import { projectLayout, readProjectFile } from "../format/read-project-file.ts";
import { readOptions } from "./read-options.ts";
import { standardOutput } from "../places/standard-output.ts";
import type { JobContext } from "../session/session.ts";
import { remoteFiles } from "../weights/remote-files.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import {
  findWeightFiles,
  pathSources,
  projectSources,
  type WeightFile,
} from "../weights/weight-files.ts";
import { weightsManifest } from "../format/weights-artifact.ts";
import { unreadable } from "../weights/file-errors.ts";
import {
  lockFileName,
  maxLockBytes,
  parseWeightsLock,
  serializeWeightsLock,
  type WeightsLock,
} from "../format/weights-lock.ts";
import { checkWritable, sweepLockTemps, writeLockFile } from "./write-lock-file.ts";
import type { LockDrift, LockReport } from "../../report/lock.ts";

/** What `lock` is asked for. */
export interface LockRequest {
  /** Files and directories; those of the project file when empty. */
  paths: readonly string[];
  /** The directory of the files in the container. Undefined: as the lock has it, `/src/weights` for new files. */
  dest: string | undefined;
  /** Path of the lock; weights.lock in the working directory when undefined. */
  output: string | undefined;
  compression: CompressionChoice | undefined;
  /** Patterns as in .gitignore. */
  include?: readonly string[] | undefined;
  exclude?: readonly string[] | undefined;
  /** Whether files that are not whole are locked all the same. */
  allowIncomplete?: boolean | undefined;
  /** Whether the lock stays as it is: of remote files that differ nothing is sent. */
  mustMatch?: boolean | undefined;
  /** Whether large files are split into parts; as the lock that is there has it when undefined. */
  parts?: boolean | undefined;
  /** The most layers of weights in parts. */
  mostParts?: number | undefined;
  /** How files will be split that are pushed in parts, where the lock has none. */
  cutFor?: SplitChoice | undefined;
  /** Whether the lock is only made, and not written. */
  dryRun?: boolean | undefined;
}

/** What was locked. `document`: the lock itself, where it is to be written to standard output. */
export type WrittenLock = LockReport & { document?: string };

/**
 * Hashes the weight files and writes their lock; one for standard output is made anew, and returned. Throws `usage`,
 * `file`, `integrity`.
 */
export async function writeLock(job: JobContext, request: LockRequest): Promise<WrittenLock> {
  const name = request.output ?? lockFileName;
  const path = resolve(job.cwd, name);
  const isReturned = request.output === standardOutput;
  const writes = request.dryRun !== true && !isReturned;
  const isNew = isReturned || (await isStreamed(path));
  const previous = isNew ? undefined : await readPrevious(job, name);
  // One that is right already is not written.
  if (previous === undefined && writes) await checkWritable(path);
  const { lock, changed, read, unchanged, leftOut } = await makeLock(job, request, name, previous);
  if (writes) {
    await sweepLockTemps(path);
    if (changed) await writeLockFile(path, lock);
  }
  const blobs = new Map(lock.files.map(({ digest, size }) => [digest, size]));
  return {
    lock: name,
    changed,
    dryRun: request.dryRun === true,
    files: lock.files,
    size: lock.files.reduce((total, { sizeUncompressed }) => total + sizeUncompressed, 0),
    storedSize: [...blobs.values()].reduce((total, size) => total + size, 0),
    read,
    unchanged,
    removed: gone(previous, lock),
    leftOut,
    ...(isReturned && request.dryRun !== true
      ? { document: new TextDecoder().decode(serializeWeightsLock(lock)) }
      : {}),
  };
}

/** The lock of the files that are requested, not written. `on` names it in messages. Throws as `writeLock`. */
export async function makeLock(
  job: JobContext,
  request: LockRequest,
  on: string,
  previous: WeightsLock | undefined,
): Promise<LockResult & { leftOut: string[] }> {
  const { files, leftOut } = await requestedFiles(job, request, on);
  await checkComplete(job, files, request.allowIncomplete ?? false);
  const made = await lockWeights(files, {
    ...readOptions(job),
    compression: request.compression,
    parts: request.parts ?? ((await projectLayout(job.cwd)) === "parts" ? true : undefined),
    mostParts: request.mostParts,
    cutFor: request.cutFor,
    mustMatch: request.mustMatch === true && previous !== undefined,
    previous,
    on,
    now: () => new Date(),
  });
  warnOfManySmallFiles(job, made.lock.files);
  return { ...made, leftOut };
}

function gone(previous: WeightsLock | undefined, { files }: WeightsLock): string[] {
  const names = new Set(files.map(({ name }) => name));
  return (previous?.files ?? []).map(({ name }) => name).filter((name) => !names.has(name));
}

/** Holds the weight files against the lock, and writes nothing. Throws `usage`, `file`, `integrity`. */
export async function checkLock(job: JobContext, request: LockRequest): Promise<LockDrift> {
  const name = request.output ?? lockFileName;
  const previous = await readPrevious(job, name);
  if (previous === undefined) {
    throw new OcibundleError("file", `the lock "${name}" does not exist`, {
      hint: "create it by omitting --check, or name it with -o",
    });
  }
  const { files } = await requestedFiles(job, request, name);
  return lockDrift(files, previous, { ...readOptions(job), on: name });
}

/** The lock that is there already, or undefined. Throws `file` for something else, `system` where it can't be read. */
export async function readPrevious(
  { cwd }: Pick<JobContext, "cwd">,
  name: string,
): Promise<WeightsLock | undefined> {
  const path = resolve(cwd, name);
  let bytes: Uint8Array;
  try {
    bytes = await readDocument(path, { maxBytes: maxLockBytes });
  } catch (cause) {
    if (errno(cause) === "ENOENT") return undefined;
    throw unreadable(name, cause);
  }
  return parseWeightsLock(bytes, name);
}

/** The files to lock, and what was left out of the directories that were given: paths below the working one. */
async function requestedFiles(
  job: JobContext,
  request: LockRequest,
  lock: string,
): Promise<{ files: WeightFile[]; leftOut: string[] }> {
  const { paths, dest } = request;
  const { cwd, signal, emit } = job;
  const fault = dest === undefined ? undefined : checkDest(dest.replace(/(?<=[^/])\/+$/, ""));
  if (fault !== undefined && dest !== "/") {
    throw new OcibundleError("usage", `--dest: ${fault}`, {
      hint: "use an absolute path in the container, such as /src/weights",
    });
  }
  const sources =
    paths.length > 0 ? pathSources(paths, cwd, dest, request) : await fromProject(cwd, request);
  const leftOut: string[] = [];
  const files = await findWeightFiles(sources, {
    signal,
    except: [resolve(cwd, lock)],
    remoteFiles: (address, choice) => remoteFiles(job, address, choice),
    onLeftOut: (path) => {
      leftOut.push(path.startsWith(`${cwd}/`) ? path.slice(cwd.length + 1) : path);
      emit({ type: "detail", message: `"${path}": skipped` });
    },
  });
  if (files.length > 0) return { files, leftOut };
  throw new OcibundleError(
    "file",
    `no weight files in ${sources.map(({ path }) => `"${path}"`).join(", ")}`,
    {
      hint: hasPatterns(request)
        ? "check the patterns; hidden files and directories are skipped"
        : "check the path; hidden files and directories are skipped, and so are those that .ocibundleignore lists",
    },
  );
}

const hasPatterns = ({ include = [], exclude = [] }: LockRequest): boolean =>
  include.length + exclude.length > 0;

async function fromProject(cwd: string, request: LockRequest) {
  const found = await readProjectFile(cwd);
  if (found === undefined || found.project.weights.length === 0) {
    const lack =
      found === undefined ? "no project file exists" : `"${found.path}" lists no weights`;
    throw new OcibundleError("usage", `no weights were specified and ${lack}`, {
      hint: "specify files or directories: `ocibundle lock ./weights`",
    });
  }
  if (request.dest !== undefined) {
    throw new OcibundleError("usage", "--dest requires files or directories on the command line", {
      hint: `set the targets in "${found.path}"`,
    });
  }
  return projectSources(found.project, found.path, request);
}

/** A lock may have any number of files; the manifest that comes of it may not. */
function warnOfManySmallFiles({ emit }: JobContext, files: readonly WeightEntry[]): void {
  try {
    weightsManifest(files);
  } catch (error) {
    if (!(error instanceof OcibundleError)) throw error;
    emit({ type: "warning", message: `${error.message}: ${error.hint ?? ""}` });
  }
}
