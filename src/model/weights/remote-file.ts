import { createHash } from "node:crypto";
import { OcibundleError } from "../../errors.ts";
import type { BlobSource, ReadRange } from "../../oci/content.ts";
import { digestOf } from "../../oci/digest.ts";
import { compressBytes } from "../../runtime/small-file.ts";
import { compressionLevels } from "../format/compression.ts";
import { compressionOf, type WeightEntry } from "../format/weight-entry.ts";
import { partHasher } from "../parts/part-hasher.ts";
import type { FileCut, Sha256, WeightContent } from "./file-state.ts";

/** A weight file that is not on this machine, and is never written to its disk. */
export interface RemoteFile {
  /** Where it lies, with the revision: `hf://acme/llama@<40 hex>/model.safetensors`. */
  uri: string;
  /** In bytes; undefined where it is not known before the file was read. */
  size: number | undefined;
  /** Of its content, where that is known without fetching it. */
  digest: Sha256 | undefined;
  open: ReadRange;
  /** All bytes, where the size is not known. */
  openAll?(signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
  /** Whether what breaks off goes on where it was: parts are known to be of one state. */
  goesOn?: boolean | undefined;
  /** Git's identifier of the content, where the source lists one. */
  gitId?: string | undefined;
  /** What tells this state of it from others, where that is not in the address: `etag:"…"`. */
  version?: string | undefined;
  /** What its digest is kept by: its address with its state. */
  keys: readonly string[];
  /** The same by what `gitId` says, which holds wherever the content lies. */
  contentKey?: string | undefined;
  /** The digests of the parts that it was cut into by a rule and its numbers. */
  parts?: { split: string; digests: Sha256[] } | undefined;
  /** Its bytes, where they were fetched to be hashed and are few enough to be kept. */
  bytes?: Uint8Array | undefined;
}

/** Hints what to do where a source gives other bytes than the digest that it names. */
export const remoteMismatch = (uri: string): string =>
  `the source of ${uri} sent content that differs from its listing; try again, or check any proxy in between`;

/** What hashing a remote file gave. */
export interface Hashed {
  sha256: Sha256;
  size: number;
  /** Git's identifier of the content; undefined where the size was not known. */
  gitId: string | undefined;
  bytes: Uint8Array | undefined;
  /** Of its parts, where it was to be cut. */
  parts?: Sha256[] | undefined;
}

/** How a remote file is read. */
export interface HashOptions {
  /** How it is cut into parts that are hashed as well. */
  cut?: FileCut | undefined;
  /** The bytes of a file of at most this size are returned as well, in bytes. */
  keep: number;
  /** Further bytes that were read, about each MiB. */
  onBytes(bytes: number): void;
  signal: AbortSignal;
}

/** How many bytes are hashed between two events. */
const toldBytes = 1024 * 1024;

/** Reads a file once and hashes it. Throws `integrity` for another size than was listed, and what `open` throws. */
export async function hashRemote(remote: RemoteFile, options: HashOptions): Promise<Hashed> {
  const { uri, size, open, openAll } = remote;
  const { keep, onBytes, signal } = options;
  const sha256 = createHash("sha256");
  const git = size === undefined ? undefined : createHash("sha1").update(`blob ${size}\0`);
  const parts = options.cut === undefined ? undefined : partHasher(options.cut.plan);
  const chunks: Uint8Array[] = [];
  let length = 0;
  let told = 0;
  const stream =
    size === undefined ? await openAll?.(signal) : open({ start: 0, end: size }, signal);
  if (stream === undefined) throw new TypeError(`nothing opens ${uri}`);
  for await (const chunk of stream) {
    length += chunk.byteLength;
    sha256.update(chunk);
    parts?.update(chunk);
    // SHA-1 of a small file costs nothing, and Git's identifier is known of no other.
    if (remote.gitId !== undefined) git?.update(chunk);
    if (length <= keep) chunks.push(chunk.slice());
    if (length - told < toldBytes) continue;
    onBytes(length - told);
    told = length;
  }
  if (size !== undefined && length !== size) {
    throw new OcibundleError("integrity", `${uri} has ${length} bytes, but ${size} were listed`);
  }
  onBytes(length - told);
  return {
    sha256: `sha256:${sha256.digest("hex")}`,
    size: length,
    gitId: git?.digest("hex"),
    bytes: length <= keep ? new Uint8Array(Buffer.concat(chunks)) : undefined,
    ...(parts === undefined ? {} : { parts: parts.digests() }),
  };
}

const noBytes = (): Uint8Array => compressBytes(new Uint8Array(0), "gzip", compressionLevels.gzip);

/** What a remote file is stored as: as it is, and an empty one as local ones are. */
export function remoteContent(
  digest: Sha256,
  size: number,
  { read, parts }: Pick<WeightContent, "read" | "parts">,
): WeightContent {
  if (size > 0) return { digest, size, read, ...(parts === undefined ? {} : { parts }) };
  const bytes = noBytes();
  const stored = { codec: "gzip", digest: digestOf(bytes), size: bytes.byteLength } as const;
  return { digest, size, read, stored };
}

/** Where the bytes of an entry's blob lie. Throws `usage` for one that is stored compressed. */
export function remoteSource(entry: WeightEntry, remote: RemoteFile, lock: string): BlobSource {
  if (entry.digest !== entry.digestOriginal) {
    if (entry.size < 4096 && entry.sizeUncompressed === 0) {
      const bytes = noBytes();
      if (digestOf(bytes) === entry.digest) return { kind: "bytes", bytes };
    }
    throw new OcibundleError(
      "usage",
      `${lock} stores it compressed with ${compressionOf(entry.mediaType)}, but ${remote.uri} can only be sent uncompressed`,
      { hint: `lock the remote source: \`ocibundle lock ${remote.uri.replace(/@.*/s, "")}\`` },
    );
  }
  const { bytes } = remote;
  if (bytes !== undefined) return { kind: "bytes", bytes };
  return { kind: "stream", open: (...asked) => Promise.resolve(remote.open(...asked)) };
}
