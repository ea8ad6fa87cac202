import type { ByteRange } from "../oci/content.ts";
import type { Digest } from "../oci/digest.ts";

/** One file of a model as a hub has it. */
export interface HubFile {
  /** Below the repository's root, with slashes. */
  path: string;
  /** In bytes. */
  size: number;
  /** Of the file as it is: what clients call its LFS oid, and name it by in their caches. */
  digest: `sha256:${string}`;
}

/** A model at one revision: it never changes. */
export interface HubSnapshot {
  /** `ORG/MODEL`, as the client wrote it. */
  id: string;
  /** 40 hex digits. */
  commit: string;
  /** What the commit is the beginning of. */
  digest: Digest;
  /** Sorted by path. */
  files: readonly HubFile[];
  byPath: ReadonlyMap<string, HubFile>;
}

/** A branch or a tag, and the commit that it stands for. */
export interface HubRef {
  name: string;
  commit: string;
}

/** Where the bytes of an answer came from. */
export type ByteOrigin = "cache" | "registry";

/** Bytes of a file. A failure of `chunks` means that the answer can't be finished: the connection is to be cut. */
export interface HubBytes {
  from: ByteOrigin;
  chunks: AsyncIterable<Uint8Array>;
}

/** What is not there is one of three things, and clients tell them apart. */
export type MissingKind = "model" | "revision" | "file";

/** Something that a client asked for and that is not there. */
export class NotOnHub extends Error {
  override readonly name = "NotOnHub";
  readonly kind: MissingKind;

  constructor(kind: MissingKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** Too much was asked for that is not there: a registry is not to be searched through this server. */
export class TooManyMisses extends Error {
  override readonly name = "TooManyMisses";
  /** When to ask again, in seconds. */
  readonly seconds: number;

  constructor(seconds: number) {
    super(`too many requests for models that do not exist; try again in ${seconds} s`);
    this.seconds = seconds;
  }
}

/**
 * Models by id and revision: what a hub's answers are made of. Methods throw {@link NotOnHub}, and `OcibundleError`.
 */
export interface HubSource {
  /** A revision is a branch, a tag, a commit or a digest; `main` and `HEAD` are there for every model. */
  snapshot(id: string, revision: string): Promise<HubSnapshot>;
  /** The branch `main` and all tags that are models. */
  refs(id: string): Promise<{ branches: HubRef[]; tags: HubRef[] }>;
  /** Ids that are known by name. */
  ids(): readonly string[];
  /**
   * Bytes of a file. Resolves when the first of them can be sent, or when it is known that this takes long.
   * Aborting `signal` ends the interest of one client, and not the work for others.
   */
  read(
    snapshot: HubSnapshot,
    file: HubFile,
    range: ByteRange,
    signal: AbortSignal,
  ): Promise<HubBytes>;
  /** Whether wrong bytes of this file were sent, and the connection cut: a client may go on from what it has. */
  isTainted(file: HubFile): boolean;
}
