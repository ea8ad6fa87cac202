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

/** What kind of failure an error is: the keys of {@link exitCodes}. Several have one exit code. */
export type ErrorCode = keyof typeof exitCodes;

/** What an error may say besides its reason. */
export interface ErrorDetails {
  /** What the user can do about it: one sentence, sentence case, no final period. */
  hint?: string | undefined;
  /** The error that led to this one; for stack traces, never part of the message. */
  cause?: unknown;
  /** What failed: a repository, a file, a weight. Several are given outermost first. */
  subject?: string | readonly string[] | undefined;
  /** The path of the file that the failure is about. */
  path?: string | undefined;
}

/**
 * The one error that a user is meant to see; programming mistakes stay built-in errors and end as exit code 1.
 *
 * `message` is composed here and nowhere else: the subjects, then `reason`, which says what failed
 * (`weights.lock: entry "a": dest "/x" is used twice`). Code decides by the fields, never by the text.
 */
export class OcibundleError extends Error {
  override readonly name = "OcibundleError";
  readonly code: ErrorCode;
  /** The message without its subjects. */
  readonly reason: string;
  readonly subject: readonly string[];
  readonly path: string | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, reason: string, details: ErrorDetails = {}) {
    const { cause, subject = [] } = details;
    const subjects = typeof subject === "string" ? [subject] : subject;
    super([...subjects, reason].join(": "), cause === undefined ? undefined : { cause });
    this.code = code;
    this.reason = reason;
    this.subject = subjects;
    this.path = details.path;
    this.hint = details.hint;
  }
}

type Changes = Partial<Pick<OcibundleError, "code" | "reason" | "subject" | "hint">>;

/** The same failure with some of its fields changed; its cause stays, or is the failure itself. */
export function amended(error: OcibundleError, changes: Changes): OcibundleError {
  const { code, reason, subject, hint, path } = error;
  return new OcibundleError(changes.code ?? code, changes.reason ?? reason, {
    subject: changes.subject ?? subject,
    hint: changes.hint ?? hint,
    path,
    cause: error.cause ?? error,
  });
}

/** The same failure with what was being done as its outermost subject. */
export function withContext(context: string, error: unknown): unknown {
  if (!(error instanceof OcibundleError)) return error;
  return amended(error, { subject: [context, ...error.subject] });
}

/** The same failure without a subject that is known already. */
export function withoutSubject(known: string, error: unknown): unknown {
  if (!(error instanceof OcibundleError) || !error.subject.includes(known)) return error;
  return amended(error, { subject: error.subject.filter((subject) => subject !== known) });
}

/** A cycle of causes ends, too. */
const deepestCause = 10;

/** An error and what caused it, outermost first. */
export function* causesOf(error: unknown): Generator<Error, void, undefined> {
  let at = error;
  for (let depth = 0; at instanceof Error && depth < deepestCause; depth += 1) {
    yield at;
    at = at.cause;
  }
}

/** The outermost error of a class among an error and its causes, or undefined. */
export function causeOf<T extends Error>(
  error: unknown,
  type: abstract new (...args: never[]) => T,
): T | undefined {
  for (const cause of causesOf(error)) if (cause instanceof type) return cause;
  return undefined;
}

/** The errno name ("ENOENT") of a file-system or socket error, or undefined. */
export function errno(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

/** Whether an error is about files of this machine, not about a registry. */
export const isLocal = (error: unknown): error is OcibundleError =>
  error instanceof OcibundleError && ["file", "system", "conflict"].includes(error.code);
