import type { WorkerPool } from "../runtime/worker-pool.ts";
import type { BlobSource } from "../oci/content.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestAlgorithm, hasherFor } from "../oci/digest.ts";
import { blobChunks } from "./blob-chunks.ts";

/** What reads the source. */
export interface HashOptions {
  signal: AbortSignal;
  pool: WorkerPool;
  /** Called with the number of further bytes read. */
  onBytes(bytes: number): void;
}

/** What the bytes of a source really are. */
export interface FoundBytes {
  digest: Digest;
  /** In bytes; more than asked for where a stream goes on. */
  size: number;
}

/** Reads and hashes a blob's bytes where they lie: a file in a worker, what streams as it comes. */
export async function hashSource(
  { digest, size }: Pick<Descriptor, "digest" | "size">,
  source: BlobSource,
  { signal, pool, onBytes }: HashOptions,
): Promise<FoundBytes> {
  if (source.kind === "file" && digestAlgorithm(digest) === "sha256") {
    const range = { path: source.path, start: source.offset, end: source.offset + size };
    const [hashed] = await pool.hash([range], { signal, onBytes });
    if (hashed === undefined) throw new TypeError("a hash job ended without its result");
    return hashed;
  }
  const hasher = hasherFor(digest);
  let length = 0;
  for await (const chunk of blobChunks(source, { start: 0, end: size }, signal)) {
    hasher.update(chunk);
    length += chunk.byteLength;
    onBytes(chunk.byteLength);
    // A server that sends for ever is not listened to for ever.
    if (length > size) break;
  }
  return { digest: `${digestAlgorithm(digest)}:${hasher.digest("hex")}` as Digest, size: length };
}
