import { createHash } from "node:crypto";
import pLimit from "p-limit";
import { OcibundleError } from "../../errors.ts";
import { slice } from "../../flow/passing.ts";
import type { ByteRange, ContentReader } from "../../oci/content.ts";
import { shortDigest } from "../../oci/digest.ts";
import { MiB } from "../../transfer/units.ts";
import { partsReader, TooFar } from "../jobs/remote-header.ts";
import type { FilePlan } from "../parts/file-plan.ts";
import { blobOfPart, type StoredPart } from "../parts/parts-artifact.ts";
import { Segments } from "../format/segment-list.ts";
import { rangeOrWhole, rangesOfBlob } from "../pull/pull-download.ts";

/** A range that lies in more pieces is not a header: then the file is fetched. */
const mostPieces = 64;

/** Of parts that are stored in another form only so much is decoded for a look at it, in bytes. */
const mostDecoded = MiB;
const decodedAtOnce = pLimit(2);

/** A piece of a range: bytes `start` up to `end` of a part. */
interface Piece {
  part: StoredPart;
  start: number;
  end: number;
}

type Open = () => Promise<AsyncIterable<Uint8Array>>;

/**
 * A range of a file that is not in the cache, out of the parts that hold it and nothing else. A part of which the
 * range has all is verified before its last bytes are handed on. Undefined for a range that is not had at once.
 * Throws as the source does, and `integrity`.
 */
export async function glanceIntoParts(
  reader: ContentReader,
  plan: FilePlan,
  range: ByteRange,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array> | undefined> {
  const pieces = piecesOf(plan, range);
  if (pieces.length > mostPieces) return undefined;
  const encoded = pieces.filter(({ part }) => part.encoding !== "none");
  if (encoded.reduce((sum, { start, end }) => sum + end - start, 0) > mostDecoded) return undefined;
  const decoded = new Map<Piece, Uint8Array>();
  try {
    for (const piece of encoded) {
      const bytes = await decodedAtOnce(() => decodePiece(reader, piece, signal));
      decoded.set(piece, bytes);
    }
  } catch (error) {
    signal.throwIfAborted();
    const isUnread = error instanceof OcibundleError && error.code === "file";
    if (isUnread || error instanceof TooFar) return undefined;
    throw error;
  }
  const opens = pieces.map((piece): Open => {
    const bytes = decoded.get(piece);
    if (bytes !== undefined) return () => Promise.resolve(inOneChunk(bytes));
    return () => openPiece(reader, piece, signal);
  });
  const [first, ...rest] = opens;
  if (first === undefined) return undefined;
  // Before the answer begins: that there is nothing to send is an answer of its own then.
  return oneAfterAnother(await first(), rest);
}

/** Where the bytes of a range lie. */
const piecesOf = ({ segments, parts }: FilePlan, range: ByteRange): Piece[] =>
  segments.within(range).map(({ segment: { part: index, offset }, start, end }) => {
    const part = parts[index]?.stored;
    if (part === undefined) throw new TypeError(`a plan has no part ${index}`);
    return { part, start: offset + start, end: offset + end };
  });

const isWhole = ({ part, start, end }: Piece): boolean => start === 0 && end === part.size;

async function openPiece(
  reader: ContentReader,
  piece: Piece,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const { part, start, end } = piece;
  const open = rangesOfBlob(reader, blobOfPart(part));
  const answer = await rangeOrWhole(open, { start, end }, signal);
  const isAsked = answer.range.start === start && answer.range.end === end;
  const body = isAsked ? answer.body : slice(answer.body, start - answer.range.start, end - start);
  return isWhole(piece) ? verified(body, part) : body;
}

/** The bytes of a part, the last of them when they are known to be right. */
async function* verified(
  chunks: AsyncIterable<Uint8Array>,
  part: StoredPart,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash("sha256");
  let held: Uint8Array | undefined;
  for await (const chunk of chunks) {
    hash.update(chunk);
    if (held !== undefined) yield held;
    held = new Uint8Array(chunk);
  }
  if (`sha256:${hash.digest("hex")}` !== part.digest) throw wrong(part);
  if (held !== undefined) yield held;
}

async function decodePiece(
  reader: ContentReader,
  piece: Piece,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { part, start, end } = piece;
  const segments = Segments.of([[0, 0, part.size]]);
  const read = partsReader(reader, { segments }, { parts: [part] }, signal);
  const bytes = await read(start, end - start);
  const isShort = bytes.byteLength !== end - start;
  const isOther =
    isWhole(piece) && `sha256:${createHash("sha256").update(bytes).digest("hex")}` !== part.digest;
  if (isShort || isOther) throw wrong(part);
  return bytes;
}

async function* inOneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

async function* oneAfterAnother(
  first: AsyncIterable<Uint8Array>,
  rest: readonly Open[],
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* first;
  for (const open of rest) yield* await open();
}

const wrong = ({ digest }: StoredPart): OcibundleError =>
  new OcibundleError(
    "integrity",
    `part ${shortDigest(digest)}: the content does not match this digest`,
  );
