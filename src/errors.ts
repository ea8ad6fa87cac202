/** What kind of failure ended a run, and the exit code a script sees for it. */
export const exitCodes = {
  /** A programming mistake in ocibundle itself; the message asks for a report. */
  bug: 1,
  /** The command line is wrong. */
  usage: 2,
  /** A file that was named is missing or malformed: the user has to change what was asked for. */
  file: 2,
  /** The thing asked for does not exist on the registry or in the store. */
  not_found: 3,
  /** Credentials or permissions. */
  denied: 4,
  /** A digest, a size or a lock does not match. */
  integrity: 5,
  /** The network or the registry failed, after its retries. */
  network: 6,
  /** This machine refused: disk full, permission denied, an I/O error, too few file descriptors. */
  system: 7,
  /** What is there already stands in the way: a file at the target, a directory of another model, a lock held. */
  conflict: 8,
  /** SIGHUP: the terminal was closed. */
  hangup: 129,
  /** SIGINT. */
  interrupted: 130,
  /** SIGTERM. */
  terminated: 143,
} as const satisfies Record<string, number>;

export type ErrorCode = keyof typeof exitCodes;

export interface ErrorDetails {
  /** What the user can do about it: one sentence, sentence case, no final period. */
  hint?: string | undefined;
  cause?: unknown;
}

/**
 * The one error that a user is meant to see.
 *
 * `message` says what failed and on what ("weights.lock: entry "a": dest "/x" is used twice");
 * programming mistakes stay built-in errors and end as exit code 1.
 */
export class OcibundleError extends Error {
  override readonly name = "OcibundleError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.hint = details.hint;
  }
}

/** The same failure with what was being done put in front of its message. */
export function withContext(context: string, error: unknown): unknown {
  if (!(error instanceof OcibundleError)) return error;
  return new OcibundleError(error.code, `${context}: ${error.message}`, {
    hint: error.hint,
    cause: error.cause ?? error,
  });
}

/** The errno name ("ENOENT") of a file-system or socket error, or undefined. */
export function errno(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

/** What a file system or the kernel answers, in words, and which kind of failure it is. */
const faults: Readonly<Record<string, { code: "file" | "system" | "conflict"; reason: string }>> = {
  EACCES: { code: "system", reason: "permission denied" },
  EBADF: { code: "system", reason: "it is closed" },
  EBUSY: { code: "system", reason: "it is busy" },
  EDQUOT: { code: "system", reason: "disk quota exceeded" },
  EEXIST: { code: "conflict", reason: "a file with that name exists" },
  // What Bun says where a file could not be removed for a reason that it has no name for, such as EIO.
  EFAULT: { code: "system", reason: "the system refused it" },
  EFBIG: { code: "system", reason: "file too large for this file system" },
  EIO: { code: "system", reason: "input/output error" },
  EISDIR: { code: "conflict", reason: "it is a directory" },
  ELOOP: { code: "file", reason: "too many symbolic links" },
  EMFILE: { code: "system", reason: "too many open files" },
  EMLINK: { code: "system", reason: "too many links" },
  ENAMETOOLONG: { code: "file", reason: "the name is too long" },
  ENFILE: { code: "system", reason: "too many open files on this machine" },
  ENODEV: { code: "system", reason: "no such device" },
  ENOENT: { code: "file", reason: "no such file or directory" },
  ENOLCK: { code: "system", reason: "no locks available" },
  ENOMEM: { code: "system", reason: "out of memory" },
  ENOSPC: { code: "system", reason: "no space left on device" },
  ENOSYS: { code: "system", reason: "not supported by this system" },
  ENOTDIR: { code: "conflict", reason: "a part of its path is not a directory" },
  ENOTEMPTY: { code: "conflict", reason: "the directory is not empty" },
  ENOTSUP: { code: "system", reason: "not supported by this file system" },
  ENXIO: { code: "system", reason: "no such device or address" },
  EOPNOTSUPP: { code: "system", reason: "not supported by this file system" },
  EPERM: { code: "system", reason: "operation not permitted" },
  EROFS: { code: "system", reason: "read-only file system" },
  ESTALE: { code: "system", reason: "stale file handle" },
  ETXTBSY: { code: "system", reason: "it is a running program" },
  EXDEV: { code: "system", reason: "it is on another file system" },
};

/** What was named is too large, or of a kind that can't be read. */
const wrongKind: ReadonlySet<string> = new Set(["EFBIG", "ENXIO", "ENODEV"]);

/**
 * The kind of failure that a file-system error is, or undefined for what is none. What was named and can't be
 * read because it is missing or of another kind is `file`; the same fault while writing is a `conflict`.
 */
export function faultCode(
  error: unknown,
  doing: "reading" | "writing",
): "file" | "system" | "conflict" | undefined {
  const code = errno(error);
  const known = code === undefined ? undefined : faults[code]?.code;
  if (doing === "reading" && code !== undefined && known !== undefined) {
    return known === "conflict" || wrongKind.has(code) ? "file" : known;
  }
  return known;
}

/** The code of a failure to read what was named: `file` unless this machine is at fault. */
export const readingCode = (cause: unknown): ErrorCode => faultCode(cause, "reading") ?? "file";

/** The code of a failure to write: `conflict` for what is in the way, else mostly `system`. */
export const writingCode = (cause: unknown): ErrorCode => faultCode(cause, "writing") ?? "system";

/** Whether an error is about files of this machine, not about a registry. */
export const isLocal = (error: unknown): error is OcibundleError =>
  error instanceof OcibundleError && ["file", "system", "conflict"].includes(error.code);

/** Why the system refused, in words without a subject: "no space left on device". */
export function faultReason(error: unknown): string {
  const code = errno(error);
  const known = code === undefined ? undefined : faults[code]?.reason;
  return known ?? code ?? (error instanceof Error ? error.message : String(error));
}
