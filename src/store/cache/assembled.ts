import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestHex, digestOf } from "../../oci/digest.ts";
import { type PartPlace, rangeInFile } from "../../runtime/part-places.ts";
import { readOwnFile } from "../../runtime/trusted-file.ts";
import { filePieces } from "../file-pieces.ts";
import { type Cache, cacheAt } from "./cache.ts";
import { assembledRoot } from "./directory.ts";
import { writeRecord } from "./record-file.ts";

/**
 * Files that were put together from parts, in a cache of their own. Nobody has hashed such a file as a whole,
 * so that its name is not its digest but that of a document: what lies where in it, the digests of its parts.
 * The document is kept beside it, proves itself by the name, and the file by the parts.
 */
export const assembledCache = ({ root, isReadOnly }: Cache): Cache => {
  const own = assembledRoot(root);
  const gives = (name: Digest, path: string, size: number, signal?: AbortSignal) =>
    givesContent(cache, name, path, size, signal);
  const cache: Cache = cacheAt(own, gives, isReadOnly);
  return cache;
};

const maxContentBytes = 64 * 1024 * 1024;

const contentPath = ({ recordsDir }: Cache, name: Digest): string =>
  join(recordsDir, "content", digestHex(name));

/** Keeps what a file of this name holds: without it, its file is not believed after a change. Never throws. */
export async function keepContent(
  cache: Cache,
  name: Digest,
  content: Iterable<Uint8Array>,
): Promise<void> {
  await writeRecord(cache, contentPath(cache, name), content).catch(() => undefined);
}

/** Removes what was kept of a file that is gone. Never throws. */
export async function forgetContent(cache: Cache, name: Digest): Promise<void> {
  await rm(contentPath(cache, name), { force: true }).catch(() => undefined);
}

/** Whether a file has the bytes that its name means; false where that can't be known. */
export async function givesContent(
  cache: Cache,
  name: Digest,
  path: string,
  size: number,
  signal = new AbortController().signal,
): Promise<boolean> {
  try {
    const bytes = readOwnFile(contentPath(cache, name), {
      maxBytes: maxContentBytes,
      ofAnyone: true,
    });
    if (bytes === undefined || digestOf(bytes) !== name) return false;
    const parts = partsIn(
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1"),
    );
    return parts?.size === size && (await hasParts(parts, path, signal));
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

/** A part, and where its bytes lie. */
interface PartInFile {
  size: number;
  places: PartPlace[];
}

/** A piece of a document as it was written: read one by one, since there can be hundreds of thousands. */
const pieceInText = /,?\["(sha256:[0-9a-f]{64})",(\d{1,16}),(\d{1,16}),(\d{1,16})\]/y;

/** What a file has: its parts by their digests, and its size. */
interface PartsInFile {
  parts: ReadonlyMap<string, PartInFile>;
  size: number;
}

/** What a document says; undefined where it is none. */
function partsIn(text: string): PartsInFile | undefined {
  const parts = new Map<string, PartInFile>();
  let position = 0;
  let at = 1;
  for (pieceInText.lastIndex = at; at < text.length - 1; at = pieceInText.lastIndex) {
    const [, digest, ...numbers] = pieceInText.exec(text) ?? [];
    const [size = 0, start = 0, end = 0] = numbers.map(Number);
    if (digest === undefined) return undefined;
    const part = parts.get(digest) ?? { size, places: [] };
    part.places.push({ start, end, position });
    parts.set(digest, part);
    position += end - start;
  }
  return text.endsWith("]") ? { parts, size: position } : undefined;
}

async function hasParts(
  { parts }: PartsInFile,
  path: string,
  signal: AbortSignal,
): Promise<boolean> {
  for (const [digest, part] of parts) {
    const places = part.places.toSorted((a, b) => a.start - b.start);
    // What lies there twice, or only in part, proves nothing here.
    let next = 0;
    for (const { start, end } of places) {
      if (start !== next) return false;
      next = end;
    }
    if (next !== part.size) return false;
    const hash = createHash("sha256");
    const source = filePieces(path, places.map(rangeInFile), signal);
    for (let { value } = await source.read(); value !== undefined;) {
      hash.update(value);
      ({ value } = await source.read());
    }
    if (`sha256:${hash.digest("hex")}` !== digest) return false;
  }
  return true;
}
