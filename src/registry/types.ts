import type { ByteRange } from "../oci/content.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { RawManifest } from "../oci/manifest.ts";

/** One registry of the distribution API (distribution-spec v1.1). */
export interface Registry {
  /** As the user wrote it: `docker.io`, `localhost:5000`. */
  readonly host: string;
  /** Where its API is: `https://registry-1.docker.io`. */
  readonly origin: string;
  /** The API's version check (`GET /v2/`). Throws `denied`, `network`. */
  ping(signal: AbortSignal): Promise<void>;
  repository(name: string): Repository;
  /** All repositories, fetched a page at a time. Throws `not_found` where the registry has no catalog. */
  listRepositories(signal: AbortSignal): AsyncIterable<string>;
  /**
   * One request as it is, any status being an answer: to look at what a registry does. Sent again only
   * when the registry asks for it (429, 503). Throws `network` where no answer came.
   */
  ask(question: Question, signal: AbortSignal): Promise<Answer>;
}

/** A request below `/v2/` that no other function has: what `doctor` tries. */
export interface Question {
  method: string;
  /** Below `/v2/`, without a slash in front; no query. */
  path: string;
  query?: Readonly<Record<string, string>>;
  /** Names in lower case. */
  headers?: Readonly<Record<string, string>>;
  body?: Uint8Array;
  /** What a token must allow, a repository at a time; the first one's credentials are used. */
  repositories?: readonly { name: string; actions: readonly ("pull" | "push" | "delete")[] }[];
}

/** Whatever the registry answered to it; no status is an error. */
export interface Answer {
  status: number;
  headers: Headers;
  /** The host that it came from, redirects followed. */
  host: string;
  /** What of the body is read: a manifest's worth at most. */
  bytes: Uint8Array;
  /** The status, with the registry's own words where it is a refusal that has some. */
  said: string;
}

/** One repository of a registry. A file of `registry/` a noun: blobs, uploads, manifests, tags, referrers. */
export interface Repository {
  readonly registry: Registry;
  readonly name: string;
  /** `host/name`. */
  readonly fullName: string;

  /** What a tag or digest stands for, or undefined when there is none. */
  headManifest(tagOrDigest: string, signal: AbortSignal): Promise<Descriptor | undefined>;
  /** The manifest's bytes, checked against the digest. Throws `not_found`, `integrity`. */
  getManifest(tagOrDigest: string, signal: AbortSignal): Promise<RawManifest>;
  /** Puts manifest bytes under a tag or their own digest. */
  putManifest(tagOrDigest: string, manifest: RawManifest, signal: AbortSignal): Promise<void>;
  /** Deletes a manifest by its digest, with all its tags, or a tag by its name. Throws `denied`, `network`. */
  deleteManifest(tagOrDigest: string, signal: AbortSignal): Promise<DeleteOutcome>;

  /**
   * The blob's size in bytes, or undefined when the repository does not have it. With `expected`, in
   * bytes, another size is not believed before it was asked for in a second way.
   */
  headBlob(digest: Digest, signal: AbortSignal, expected?: number): Promise<number | undefined>;
  /**
   * Asks for bytes of a blob. The answer says what the server really sends: `range` is the whole blob
   * when it ignored the range. The stream is not verified. Throws `not_found`, `network`.
   */
  getBlob(
    descriptor: Descriptor,
    range: ByteRange | undefined,
    signal: AbortSignal,
  ): Promise<BlobAnswer>;

  /**
   * The bytes that came for a blob were wrong. True when they came from a mirror, which is not asked
   * again: another try may go well. Absent where there are no mirrors.
   */
  reportCorrupt?(digest: Digest): boolean;

  /** Opens an upload session, or with `mount` tries to mount first. */
  startUpload(
    options: { mount?: { digest: Digest; from?: string } },
    signal: AbortSignal,
  ): Promise<StartedUpload>;
  /**
   * Sends a whole blob with the request that would open a session. False where the registry takes none in this way, and
   * has opened a session that was given up. Throws `integrity` for other bytes, and as `startUpload`.
   */
  postBlob(digest: Digest, body: UploadBody, signal: AbortSignal): Promise<boolean>;
  /** A session of an earlier run, by its location; ask its `offset` first. Throws `network`. */
  resumeUpload(location: string): UploadSession;

  /** All tags, fetched a page at a time. Throws `not_found`. */
  listTags(signal: AbortSignal): AsyncIterable<string>;
  /**
   * What refers to a manifest (distribution-spec v1.1, "Listing Referrers"), of one type if given. `onPassed` is told
   * of entries that can't be read; without it such a one is an error.
   */
  listReferrers(
    digest: Digest,
    artifactType: string | undefined,
    signal: AbortSignal,
    onPassed?: (message: string) => void,
  ): Promise<Descriptor[]>;
}

/** What became of something that was to be deleted; `unsupported` says in words what the registry can't do. */
export type DeleteOutcome = "deleted" | "absent" | { unsupported: string };

/** A range of a blob. `range` is what is sent: the whole blob where a registry ignores ranges. */
export interface BlobAnswer {
  range: ByteRange;
  body: ReadableStream<Uint8Array>;
}

/** What came of opening an upload. `refused`: a mount was an error, and the session was opened without it. */
export type StartedUpload =
  | { mounted: true }
  | { mounted: false; session: UploadSession; refused?: true };

/** The body of one upload request: a recipe, made anew for each try. */
export interface UploadBody {
  /** In bytes. */
  size: number;
  make(): Promise<BodyInit>;
}

/**
 * An open upload session (distribution-spec v1.1, "Pushing a blob in chunks"). Follows the newest
 * `Location`. Methods throw `RegistryRefusal`-carrying errors (see registry/refusal.ts) so that the
 * caller can choose another way of uploading by status.
 */
export interface UploadSession {
  /** Where the session is, to be kept for a later run. Contains secrets on some registries. */
  readonly location: string;
  /** `OCI-Chunk-Min-Length` of the session, in bytes, where the registry said one. */
  readonly minimumChunk: number | undefined;
  /** One chunk, with `Content-Range: start-end`. Resolves to the offset the registry has then. */
  patchChunk(start: number, body: UploadBody, signal: AbortSignal): Promise<number>;
  /** The whole (rest of the) body in one PATCH without `Content-Range`, as Docker does. */
  patchAll(body: UploadBody, signal: AbortSignal): Promise<number>;
  /** Ends the session, optionally with a last or the only body. Throws `integrity` on DIGEST_INVALID. */
  finish(digest: Digest, body: UploadBody | undefined, signal: AbortSignal): Promise<void>;
  /** How many bytes the registry has, or undefined when it no longer knows the session. */
  offset(signal: AbortSignal): Promise<number | undefined>;
  /** Gives the session up. Never throws. */
  cancel(): Promise<void>;
}
