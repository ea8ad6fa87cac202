import { constants, statfsSync } from "node:fs";
import { access } from "node:fs/promises";
import { dirname, sep } from "node:path";
import { type ErrorCode, errno, OcibundleError } from "../errors.ts";

/** What a fault of a file system calls for; what is written to differs in the hint it gives for each. */
export type FaultKind =
  | "full"
  | "read-only"
  | "denied"
  | "broken"
  | "in-the-way"
  | "path"
  | "too-large"
  | "missing"
  | "open-files";

interface FaultRule {
  code: "file" | "system" | "conflict";
  /** Without a subject: it follows "cannot be written: ". */
  reason: string;
  kind?: FaultKind;
  /** What follows the name of a file that was to be read, where that is not "cannot be read: REASON". */
  reading?: string;
}

/** What a file system or the kernel answers, in words, and which kind of failure it is: the only such table. */
const faults: Readonly<Record<string, FaultRule>> = {
  EACCES: { code: "system", reason: "permission denied", kind: "denied" },
  EBADF: { code: "system", reason: "it is closed" },
  EBUSY: { code: "system", reason: "it is busy" },
  EDQUOT: { code: "system", reason: "disk quota exceeded", kind: "full" },
  EEXIST: { code: "conflict", reason: "a file with that name exists", kind: "in-the-way" },
  // What Bun says where a file could not be removed for a reason that it has no name for, such as EIO.
  EFAULT: { code: "system", reason: "the system refused it" },
  EFBIG: {
    code: "system",
    reason: "file too large for this file system",
    kind: "too-large",
    reading: "is too large",
  },
  EIO: { code: "system", reason: "input/output error", kind: "broken" },
  EISDIR: {
    code: "conflict",
    reason: "it is a directory",
    kind: "in-the-way",
    reading: "is a directory",
  },
  ELOOP: {
    code: "file",
    reason: "too many symbolic links",
    kind: "path",
    reading: "is a broken symbolic link",
  },
  EMFILE: { code: "system", reason: "too many open files", kind: "open-files" },
  EMLINK: { code: "system", reason: "too many links" },
  ENAMETOOLONG: { code: "file", reason: "the name is too long", kind: "path" },
  ENFILE: { code: "system", reason: "too many open files on this machine" },
  ENODEV: { code: "system", reason: "no such device" },
  ENOENT: {
    code: "file",
    reason: "no such file or directory",
    kind: "missing",
    reading: "does not exist",
  },
  ENOLCK: { code: "system", reason: "no locks available" },
  ENOMEM: { code: "system", reason: "out of memory" },
  ENOSPC: { code: "system", reason: "no space left on device", kind: "full" },
  ENOSYS: { code: "system", reason: "not supported by this system" },
  ENOTDIR: {
    code: "conflict",
    reason: "a part of its path is not a directory",
    kind: "in-the-way",
    reading: "does not exist: a part of its path is not a directory",
  },
  // What `readDocument` says of a FIFO, a socket or a device.
  ENOTREG: {
    code: "conflict",
    reason: "not a regular file",
    kind: "in-the-way",
    reading: "is not a regular file",
  },
  ENOTEMPTY: { code: "conflict", reason: "directory not empty", kind: "in-the-way" },
  ENOTSUP: { code: "system", reason: "not supported by this file system" },
  ENXIO: {
    code: "system",
    reason: "no such device or address",
    reading: "is not a regular file",
  },
  EOPNOTSUPP: { code: "system", reason: "not supported by this file system" },
  EPERM: { code: "system", reason: "operation not permitted", kind: "denied" },
  EROFS: { code: "system", reason: "read-only file system", kind: "read-only" },
  ESTALE: { code: "system", reason: "stale file handle", kind: "broken" },
  ETXTBSY: { code: "system", reason: "it is a running program" },
  EXDEV: { code: "system", reason: "it is on another file system" },
};

const writingHints: Readonly<Record<FaultKind, string>> = {
  full: "free up space on that file system, or write elsewhere",
  "read-only": "mount the file system read-write, or write elsewhere",
  denied: "check the permissions of its directory",
  broken: "check the disk, or write to another one",
  "in-the-way": "remove the existing file, or write to another directory",
  path: "write to a shorter path",
  "too-large": "write to another file system",
  missing: "create the directory, or write to another one",
  "open-files": "raise the limit on open files (ulimit -n)",
};

const readingHints: Readonly<Partial<Record<FaultKind, string>>> = {
  denied: "check the permissions of the file and of the directories above it",
  broken: "check the disk",
  "in-the-way": "check the path: a regular file is expected",
  path: "check the path",
  missing: "check the path",
  "open-files": writingHints["open-files"],
};

/** What to do about a failure to read; undefined where nothing is known to help. */
export function readingHint(error: unknown): string | undefined {
  const kind = ruleOf(error)?.kind;
  return kind === undefined ? undefined : readingHints[kind];
}

/** What was named is too large, or of a kind that can't be read. */
const wrongKind: ReadonlySet<string> = new Set(["EFBIG", "ENXIO", "ENODEV"]);

function ruleOf(error: unknown): FaultRule | undefined {
  const code = errno(error);
  return code !== undefined && Object.hasOwn(faults, code) ? faults[code] : undefined;
}

/** What the kernel's own file systems answer where nothing can be made: the directory is there. */
const refused: FaultRule = {
  code: "system",
  reason: "the file system does not allow new files there",
  kind: "read-only",
};

const makes: ReadonlySet<unknown> = new Set(["open", "mkdir"]);

/** The kernel's own file systems by their numbers (statfs(2)): proc, sysfs, cgroup 1 and 2, devpts. */
const ofKernel: ReadonlySet<number> = new Set([0x9fa0, 0x62656572, 0x27e0eb, 0x63677270, 0x1cd1]);

/** `ENOENT` for something new in a directory of the kernel's is no mistake of whoever named it. */
function refusesNew(error: unknown): boolean {
  if (errno(error) !== "ENOENT") return false;
  const path = failedPath(error);
  const { syscall } = error as { syscall?: unknown };
  return path !== undefined && makes.has(syscall) && isOfKernel(dirname(path));
}

function isOfKernel(directory: string): boolean {
  try {
    return ofKernel.has(statfsSync(directory).type);
  } catch {
    return false;
  }
}

const writingRuleOf = (error: unknown): FaultRule | undefined =>
  refusesNew(error) ? refused : ruleOf(error);

/** What kind of fault a file-system error is, or undefined for none, and for one that calls for nothing. */
export const faultKind = (error: unknown): FaultKind | undefined => ruleOf(error)?.kind;

/**
 * The kind of failure that a file-system error is, or undefined for what is none. What was named and can't be
 * read because it is missing or of another kind is `file`; the same fault while writing is a `conflict`.
 */
export function faultCode(
  error: unknown,
  doing: "reading" | "writing",
): FaultRule["code"] | undefined {
  if (doing === "writing") return writingRuleOf(error)?.code;
  const rule = ruleOf(error);
  if (rule === undefined) return undefined;
  return rule.code === "conflict" || wrongKind.has(errno(error) ?? "") ? "file" : rule.code;
}

/** The code of a failure to read what was named: `file` unless this machine is at fault. */
export const readingCode = (cause: unknown): ErrorCode => faultCode(cause, "reading") ?? "file";

/** The code of a failure to write: `conflict` for what is in the way, else mostly `system`. */
export const writingCode = (cause: unknown): ErrorCode => faultCode(cause, "writing") ?? "system";

/** Why the system refused, in words without a subject: "no space left on device". */
export const faultReason = (error: unknown): string =>
  ruleOf(error)?.reason ?? errno(error) ?? (error instanceof Error ? error.message : String(error));

/** The same of a failure to write. */
export const writingReason = (error: unknown): string =>
  writingRuleOf(error)?.reason ?? faultReason(error);

/** Why something could not be read, as what follows its name: "does not exist", "cannot be read: permission denied". */
export function unreadableBecause(error: unknown): string {
  // Not in the table: sockets answer it too, and then it is a failure of the network.
  if (errno(error) === "ETIMEDOUT") return "is a pipe that did not end in time";
  return ruleOf(error)?.reading ?? `cannot be read: ${faultReason(error)}`;
}

/** What the file system said, where an error of ours carries that; else the error itself. */
export const fileFault = (error: unknown): unknown =>
  error instanceof OcibundleError ? error.cause : error;

/** The path of the file that could not be read or written, where an error has it. */
export function failedPath(error: unknown): string | undefined {
  const path = (error as { path?: unknown } | null | undefined)?.path;
  return typeof path === "string" ? path : undefined;
}

/** Whether a path is a directory's, or below it. */
export const isBelow = (directory: string, path: string | undefined): boolean =>
  path !== undefined &&
  (path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep));

/** Whether an error says that nothing is there. */
export const isMissing = (error: unknown): boolean =>
  errno(error) === "ENOENT" || errno(error) === "ENOTDIR";

/**
 * What stands against making files in a directory, without making one: EROFS also where permissions do not count, as
 * for root. Undefined where nothing does, and where the directory does not exist.
 */
export async function faultOfDirectory(path: string): Promise<unknown> {
  try {
    await access(path, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return isMissing(error) ? undefined : error;
  }
}

/** Whether an error says that a file system is mounted read-only. */
export const isReadOnly = (error: unknown): boolean => errno(error) === "EROFS";

/** A failure to write as an error that a user understands; what is no fault of a file system as it is. */
export function unwritable(path: string, cause: unknown): unknown {
  const rule = writingRuleOf(cause);
  if (cause instanceof OcibundleError || rule === undefined) return cause;
  return new OcibundleError(rule.code, `"${path}": cannot write: ${rule.reason}`, {
    hint: rule.kind === undefined ? undefined : writingHints[rule.kind],
    path,
    cause,
  });
}
