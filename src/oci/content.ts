import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import type { RawManifest } from "./manifest.ts";

/** Bytes `start` up to but not including `end`. */
export interface ByteRange {
  start: number;
  end: number;
}

/**
 * Where the bytes of a blob lie. Each kind can be opened again, from any offset: a body is a recipe,
 * so that what failed half-way can go on from there.
 */
export type BlobSource =
  | { kind: "bytes"; bytes: Uint8Array }
  | {
      kind: "file";
      path: string;
      /** Where in the file the blob starts, in bytes: an archive holds many. */
      offset: number;
      /** Throws `integrity` when the file is known not to be what the descriptor was made from. */
      check?: () => Promise<void>;
    }
  | {
      kind: "stream";
      /** As `ReadRange`. Rejects with a typed error. */
      open(
        range: ByteRange,
        signal: AbortSignal,
        until?: number,
      ): Promise<ReadableStream<Uint8Array>>;
    };

/**
 * The bytes of `range`, in any chunking; a chunk is valid until the next one is asked for. `until` says that what
 * follows is asked for next, up to there, with the same signal: what is far away is fetched ahead.
 */
export type ReadRange = (
  range: ByteRange,
  signal: AbortSignal,
  until?: number,
) => ReadableStream<Uint8Array>;

/** Bytes that are to become a blob and whose digest is not known before they were read. */
export interface UnnamedBlob {
  /** In bytes. */
  size: number;
  /** What a person calls it in errors. */
  label: string;
  /** What identifies these bytes in another run, so that an upload can be resumed; undefined where nothing does. */
  identity: string | undefined;
  /** The digest that they should have: other bytes are not stored. */
  expected?: Digest | undefined;
  /** As of `BlobToMove`. */
  canSplit?: boolean;
  open: ReadRange;
}

/** A blob to be moved. */
export interface BlobToMove {
  descriptor: Descriptor;
  /**
   * Says where the bytes lie, and makes them first where that takes work (compressing a weight):
   * called only for what the target really lacks. Throws what stands against it: a missing file.
   */
  source(signal: AbortSignal): Promise<BlobSource>;
  /**
   * Throws what is known to stand against `source` without any work: asked of all that is missing
   * before the first byte is moved.
   */
  check?(signal: AbortSignal): Promise<void>;
  /**
   * Throws `integrity` unless the blob is what is said of it: asked where the target has it already, so that `source`
   * says nothing of it. `there` opens the target's blob, where that can be read.
   */
  confirm?(there: (() => Promise<BlobSource>) | undefined, signal: AbortSignal): Promise<void>;
  /** What to do when the bytes turn out not to have the digest: the hint of that error. */
  mismatchHint?: string;
  /** After its bytes turned out to be wrong: whether its source will give others from now on. */
  reportCorrupt?(): boolean;
  /** The first column of progress: `weights` or `image`. */
  group: string;
  /** What it is to its manifest; a layer unless given. */
  kind?: BlobKind;
  /** What a person calls it in errors: `weight "llama-3.1-8b"`, `layer sha256:ab12…`. */
  label: string;
  /** What it is called in progress, where that is not the label: `llama-3.1-8b`. */
  name?: string;
  /** The name of the file that it is, extension and all: shown in place of `name`. */
  file?: string;
  /** Whether it is a weight that the layout `parts` would store in smaller blobs: what to do where it is too large. */
  canSplit?: boolean;
  /** Repositories on the target's own registry that may have it: mounted from there if so. */
  mountFrom?: readonly string[];
}

/** What a blob is for a model; decides how it is named in messages and reports. */
export type BlobKind = "config" | "layer" | "weight";

/** Anything manifests and blobs can be read from: a repository, a layout, an archive, an engine's image. */
export interface ContentReader {
  /** For messages: `oci:./layout`, `registry.example.com/acme/llama`. */
  readonly name: string;
  /**
   * The manifest behind a tag or a digest, its bytes checked against the digest.
   * Throws `not_found`, `integrity`.
   */
  readManifest(tagOrDigest: string, signal: AbortSignal): Promise<RawManifest>;
  /** Whether the blob is there with its size, without reading it. */
  hasBlob(descriptor: Descriptor, signal: AbortSignal): Promise<boolean>;
  /** Where the blob's bytes lie. Throws `not_found` where that is known at once. */
  blobSource(descriptor: Descriptor, signal: AbortSignal): Promise<BlobSource>;
  /**
   * The bytes of a range of a blob, or of all of it, as a server answers: `range` says which came. Absent
   * where `blobSource` gives any range exactly. Throws as `blobSource`.
   */
  readonly ranges?: (
    descriptor: Descriptor,
    range: ByteRange | undefined,
    signal: AbortSignal,
  ) => Promise<{ range: ByteRange; body: ReadableStream<Uint8Array> }>;
  /** The host of the registry that it reads from, where it is one. */
  readonly host?: string;
  /**
   * The bytes that came for a blob were wrong. True when they will come from elsewhere now, so that it
   * may be read once more; absent where there is no elsewhere.
   */
  reportCorrupt?(digest: Digest): boolean;
  /**
   * The manifests whose `subject` this is; absent where nothing can refer to anything. `onPassed` is told
   * of what may be one and can't be read.
   */
  listReferrers?(
    digest: Digest,
    signal: AbortSignal,
    onPassed?: (message: string) => void,
  ): Promise<Descriptor[]>;
}

/** What became of a blob that was to be written. */
export type BlobOutcome = "sent" | "mounted" | "present";

/** Cancellation and progress of one blob. */
export interface WriteBlobOptions {
  signal: AbortSignal;
  /**
   * Called with the number of further bytes that have gone out; negative when some must go again. `resumed`
   * where an earlier run has sent them.
   */
  onBytes?: (bytes: number, resumed?: boolean) => void;
  /** Whether many more follow: what makes each of them cheaper may be tried with this one. */
  ofMany?: boolean;
}

/** Anything manifests and blobs can be written to. Content is verified before it has its final name. */
export interface ContentWriter {
  readonly name: string;
  hasBlob(descriptor: Descriptor, signal: AbortSignal): Promise<boolean>;
  /** Where the bytes of a blob lie that is there; absent where none can be read before all is written. */
  blobSource?: ContentReader["blobSource"];
  /**
   * Says before the first byte that a blob is not going to be taken, by what is known of the place.
   * Throws `usage`, with the way out.
   */
  checkBlob?(blob: BlobToMove): void;
  /** Writes a blob whose absence `hasBlob` has shown. Throws `integrity` when the bytes are others. */
  writeBlob(blob: BlobToMove, options: WriteBlobOptions): Promise<BlobOutcome>;
  /**
   * Writes a blob while it is read for its digest, which is returned; of other bytes than were expected too,
   * which are not stored. Undefined where the place takes no blob before its digest is known.
   */
  writeUnnamed?(
    blob: UnnamedBlob,
    options: WriteBlobOptions,
  ): Promise<`sha256:${string}` | undefined>;
  /** Whether the blob could be mounted from one of its `mountFrom`, as far as can be seen. */
  canMount?(blob: BlobToMove, signal: AbortSignal): Promise<boolean>;
  /** Mounts the blob from one of its `mountFrom`, and sends nothing. Resolves to whether that is done. */
  mountBlob?(
    blob: Pick<BlobToMove, "descriptor" | "mountFrom">,
    signal: AbortSignal,
  ): Promise<boolean>;
  /** Whether the place says that nothing was ever finished there: it has no tag. False where it does not tell. */
  readonly isNew?: (signal: AbortSignal) => Promise<boolean>;
  /** What a tag stands for now, or undefined; absent where every tag is new. */
  readTag?(tag: string, signal: AbortSignal): Promise<RawManifest | undefined>;
  /** Whether the place has this manifest by its digest; absent where what was written stays. */
  hasManifest?(manifest: RawManifest, signal: AbortSignal): Promise<boolean>;
  /** Writes manifest bytes by digest and, with `tag`, moves the tag to them. */
  writeManifest(manifest: RawManifest, tag: string | undefined, signal: AbortSignal): Promise<void>;
}
