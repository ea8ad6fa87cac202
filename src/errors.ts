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

/** Whether an error is about files of this machine, not about a registry. */
export const isLocal = (error: unknown): error is OcibundleError =>
  error instanceof OcibundleError && ["file", "system", "conflict"].includes(error.code);
