import type { ByteRange, ContentReader } from "../../oci/content.ts";
import { refusesRanges } from "../../registry/refusal.ts";
import { releaseBytes } from "../../runtime/release-bytes.ts";
import { MiB } from "../../transfer/units.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { rangesOf, storedBlob } from "../pull/pull-download.ts";
import { glanceIntoParts } from "./glance-parts.ts";
import type { Located } from "./snapshot.ts";

/**
 * A range up to this size of a file that is not in the cache is asked of the registry by itself, not verified:
 * clients look at the headers of files that they never fetch.
 */
const directBytes = 8 * MiB;

/**
 * Whether a range is a look into a large file, and not the file. One that ends with the file may be what a client
 * lacks of it: its last byte waits for the digest like that of the whole.
 */
export const isGlance = ({ sizeUncompressed }: WeightEntry, { start, end }: ByteRange): boolean =>
  end - start <= directBytes && sizeUncompressed > 2 * directBytes && end < sizeUncompressed;

/**
 * A range of a file that is not in the cache, from the registry and nothing else of the file. Undefined where it is not
 * had at once: where the registry has no ranges, or stores the file in another form. Throws as the source does.
 */
export async function glance(
  reader: ContentReader,
  located: Located,
  range: ByteRange,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array> | undefined> {
  const { entry, parts, plan } = located;
  if (entry.digest !== entry.digestOriginal && !parts.has(entry)) return undefined;
  return plan === undefined
    ? glanceIntoBlob(reader, located, range, signal)
    : glanceIntoParts(reader, plan, range, signal);
}

async function glanceIntoBlob(
  reader: ContentReader,
  { entry, parts }: Located,
  range: ByteRange,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array> | undefined> {
  const open = rangesOf(reader, storedBlob(entry), parts.get(entry));
  const answer = await open(range, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    if (refusesRanges(error)) return undefined;
    throw error;
  });
  if (answer === undefined) return undefined;
  if (answer.range.start === range.start && answer.range.end === range.end) {
    return released(answer.body);
  }
  await answer.body.cancel().catch(() => undefined);
  return undefined;
}

/** Chunks that are each valid until the next one is asked for, and take no memory from then on. */
async function* released(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    yield chunk;
    releaseBytes(chunk);
  }
}
