/** What goes wrong with a request. */
export type FaultKind =
  /** It is answered with a status, and nothing is done. */
  | { kind: "status"; status: number; retryAfter: string | undefined }
  /** The connection is broken off: at once, or after a number of bytes. */
  | { kind: "reset"; at: number | undefined }
  /** Nothing more comes, neither an answer nor a byte; the connection stays. */
  | { kind: "stall"; at: number | undefined }
  /** The body just ends after a number of bytes, as if that were all. */
  | { kind: "truncate"; at: number | undefined }
  /** One byte of the body is another one. */
  | { kind: "corrupt"; at: number | undefined }
  /** The body goes no faster than so many bytes a second. */
  | { kind: "slow"; rate: number }
  /** The work is done, and the connection broken off in place of the answer. */
  | { kind: "drop" };

/** Which requests it happens to. All that is said must hold. */
export interface FaultFilter {
  methods: readonly string[] | undefined;
  path: RegExp | undefined;
  /** Whether the request must have a `Range`, or must not. */
  ranged: boolean | undefined;
  /** Not so many that come first; they are not counted by what follows. */
  after: number;
  /** Only the one with this number, counted from 1, of those that fit. */
  nth: number | undefined;
  /** Only each one with a number that this divides. */
  every: number | undefined;
  /** No more than so many. */
  times: number | undefined;
  /** From 0 to 1. */
  probability: number | undefined;
  seed: number;
}

/** What goes wrong, and at which requests. */
export interface Fault {
  what: FaultKind;
  filter: FaultFilter;
}
