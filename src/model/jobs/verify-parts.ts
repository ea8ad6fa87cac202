import { createHash, type Hash } from "node:crypto";
import { rm } from "node:fs/promises";
import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, digestAlgorithm, shortDigest } from "../../oci/digest.ts";
import type { Problem } from "../../report/verify.ts";
import { createFile, privateMode } from "../../runtime/own-file.ts";
import { blobChunks } from "../../store/blob-chunks.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { cacheFailure } from "../../store/cache/directory.ts";
import { fileChunks } from "../../store/file-chunks.ts";
import { writeAll } from "../../store/verified-write.ts";
import { decodePart } from "../parts/decode-part.ts";
import { blobOfPart, type PartsArtifact, type StoredPart } from "../parts/parts-artifact.ts";
import type { RecipeFile } from "../parts/recipe.ts";
import type { ContentGraph } from "../graph/content-graph.ts";
import { partsOfManifest } from "../graph/weights-contents.ts";
import { planFile, wholePart } from "../parts/file-plan.ts";

/** Weights in parts, and what reading them needs. */
export interface PartsToVerify {
  reader: ContentReader;
  cache: Cache;
  artifact: PartsArtifact;
  signal: AbortSignal;
  /** Further bytes of the file were read. */
  onBytes(bytes: number): void;
}

/** A file that is put together from parts. */
interface FileOfParts {
  file: RecipeFile;
  artifact: PartsArtifact;
  /** The blobs of its parts. */
  blobs: Descriptor[];
}

/**
 * The files of weights in parts among the manifests of a model, and the blobs that are `covered` when they are
 * verified. A file that is one part is not among them: its blob says all. `onFault` is told of what is not a recipe.
 */
export async function filesOfParts(
  reader: ContentReader,
  { root, children }: Pick<ContentGraph, "root" | "children">,
  signal: AbortSignal,
  onFault: (manifest: Digest, error: OcibundleError) => void,
): Promise<{ files: FileOfParts[]; covered: ReadonlySet<Digest> }> {
  const files: FileOfParts[] = [];
  const covered = new Set<Digest>();
  for (const raw of [root, ...children]) {
    try {
      const artifact = await partsOfManifest(reader, raw, signal);
      for (const file of artifact?.recipe.files ?? []) {
        if (artifact === undefined) continue;
        if (wholePart(file, artifact)?.digest === file.digest) continue;
        const { parts } = planFile(file, artifact);
        const blobs = parts.map(({ stored }) => blobOfPart(stored));
        for (const { digest } of blobs) covered.add(digest);
        files.push({ file, artifact, blobs });
      }
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof OcibundleError) || error.code === "network") throw error;
      onFault(raw.digest, error);
    }
  }
  return { files, covered };
}

/**
 * Reads a file out of its parts, one after another, and compares each part and the whole with their digests.
 * A part that lies in several places of the file is kept on disk meanwhile. Throws `network`, `denied`, `system`.
 */
export async function verifyFileOfParts(
  file: RecipeFile,
  { reader, cache, artifact, signal, onBytes }: PartsToVerify,
): Promise<Problem[]> {
  const faults: Problem[] = [];
  const whole = createHash("sha256");
  const uses = new Map<number, number>();
  for (const { part } of file.segments) uses.set(part, (uses.get(part) ?? 0) + 1);
  const kept = new Map<number, string>();
  const take = (chunk: Uint8Array): void => {
    whole.update(chunk);
    onBytes(chunk.byteLength);
  };
  /** Reads a part; false where it is wrong, after which the whole file can't be right. */
  const readPart = async (
    part: StoredPart,
    onChunk: (chunk: Uint8Array, at: number) => Promise<void> | void,
  ): Promise<boolean> => {
    const label = `part ${shortDigest(part.digest)}`;
    try {
      const found = await hashPart(reader, part, signal, onChunk);
      if (found.hash.digest("hex") === part.digest.slice(7) && found.size === part.size)
        return true;
      faults.push({
        item: label,
        kind: "differs",
        detail: "the content does not match this digest",
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof OcibundleError)) throw error;
      if (error.code === "not_found") {
        faults.push({ item: label, kind: "missing", detail: "does not exist" });
      } else if (error.code === "integrity") {
        faults.push({ item: label, kind: "differs", detail: error.message });
      } else throw error;
    }
    return false;
  };
  try {
    for (const { part: index, offset: start, length } of file.segments) {
      signal.throwIfAborted();
      const part = artifact.parts[index];
      if (part === undefined) throw new TypeError(`a recipe has no part ${index}`);
      if (uses.get(index) === 1 && start === 0 && length === part.size) {
        await readPart(part, take);
        continue;
      }
      let path = kept.get(index);
      if (path === undefined) {
        path = await cache.tempPath("part");
        kept.set(index, path);
        const temp = path;
        const output = await createFile(temp, privateMode).catch((error: unknown) => {
          throw cacheFailure(cache.root, error);
        });
        try {
          await readPart(part, async (chunk, at) => {
            await writeAll(output, chunk, at).catch((error: unknown) => {
              throw cacheFailure(cache.root, error);
            });
          });
        } finally {
          await output.close();
        }
      }
      for await (const chunk of fileChunks(path, start, start + length, signal)) take(chunk);
    }
  } finally {
    for (const path of kept.values()) {
      await rm(path, { force: true }).catch(() => undefined);
      await cache.discardTemp(path).catch(() => undefined);
    }
  }
  const digest = whole.digest("hex");
  if (faults.length === 0 && `sha256:${digest}` !== file.digest) {
    faults.push({
      item: file.name,
      kind: "differs",
      detail: `its parts are valid, but the whole file has digest sha256:${digest}, expected ${file.digest}`,
    });
  }
  return faults;
}

async function hashPart(
  reader: ContentReader,
  part: StoredPart,
  signal: AbortSignal,
  onChunk: (chunk: Uint8Array, at: number) => Promise<void> | void,
): Promise<{ hash: Hash; size: number }> {
  const hash = createHash("sha256");
  let size = 0;
  await readPartBytes(reader, part, signal, async (chunks) => {
    for await (const chunk of chunks) {
      if (size + chunk.byteLength > part.size) {
        throw new OcibundleError("integrity", `has more than ${part.size} bytes`);
      }
      hash.update(chunk);
      await onChunk(chunk, size);
      size += chunk.byteLength;
    }
  });
  return { hash, size };
}

/** Hands the original bytes of a part to `consume`. Throws `integrity` where it is not what it is said to be. */
async function readPartBytes(
  reader: ContentReader,
  part: StoredPart,
  signal: AbortSignal,
  consume: (chunks: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<void> {
  const blob = blobOfPart(part);
  const source = await reader.blobSource(blob, signal);
  const chunks = blobChunks(source, { start: 0, end: blob.size }, signal);
  if (part.encoding === "none") return consume(chunks);
  const algorithm = digestAlgorithm(blob.digest);
  const hash = createHash(algorithm);
  async function* hashed() {
    for await (const chunk of chunks) {
      hash.update(chunk);
      yield chunk;
    }
  }
  await decodePart(part, hashed(), `part ${shortDigest(part.digest)}`, consume);
  if (`${algorithm}:${hash.digest("hex")}` === blob.digest) return;
  throw new OcibundleError("integrity", `the blob ${shortDigest(blob.digest)} has other bytes`);
}
