import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { SizeSchema } from "../../oci/descriptor.ts";
import { type Digest, DigestSchema, digestHex, digestOf } from "../../oci/digest.ts";
import { readOwnFile } from "../../runtime/own-file.ts";
import { fileChunks } from "../file-chunks.ts";
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

const ContentSchema = v.array(v.tuple([DigestSchema, SizeSchema, SizeSchema, SizeSchema]));

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
    const content = v.parse(ContentSchema, JSON.parse(new TextDecoder().decode(bytes)));
    return await hasContent(content, path, size, signal);
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

async function hasContent(
  content: v.InferOutput<typeof ContentSchema>,
  path: string,
  size: number,
  signal: AbortSignal,
): Promise<boolean> {
  const pieces = new Map<
    Digest,
    { size: number; pieces: { start: number; at: number; end: number }[] }
  >();
  let at = 0;
  for (const [digest, of, start, end] of content) {
    const part = pieces.get(digest) ?? { size: of, pieces: [] };
    part.pieces.push({ start, at, end: at + end - start });
    pieces.set(digest, part);
    at += end - start;
  }
  if (at !== size) return false;
  for (const [digest, part] of pieces) {
    const hash = createHash("sha256");
    let next = 0;
    for (const piece of part.pieces.toSorted((a, b) => a.start - b.start)) {
      // What lies there twice, or only in part, proves nothing here.
      if (piece.start !== next) return false;
      for await (const chunk of fileChunks(path, piece.at, piece.end, signal)) hash.update(chunk);
      next += piece.end - piece.at;
    }
    if (next !== part.size || `sha256:${hash.digest("hex")}` !== digest) return false;
  }
  return true;
}
