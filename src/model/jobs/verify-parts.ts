import { createHash, type Hash } from "node:crypto";
import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, digestAlgorithm, shortDigest } from "../../oci/digest.ts";
import type { Problem } from "../../report/verify.ts";
import { blobChunks } from "../../store/blob-chunks.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { decodePart } from "../parts/decode-part.ts";
import { blobOfPart, type PartsArtifact, type StoredPart } from "../parts/parts-artifact.ts";
import type { RecipeFile } from "../parts/recipe.ts";
import type { ContentGraph } from "../graph/content-graph.ts";
import { partsOfManifest } from "../graph/manifest-contents.ts";
import { planFile, wholePart } from "../parts/file-plan.ts";
import { partsOnDisk } from "./parts-on-disk.ts";

interface Reading {
  signal: AbortSignal;
  /** Further bytes of the blobs of parts were read. */
  onBytes(bytes: number): void;
}

/** Weights in parts, and what reading them needs. */
export interface PartsToVerify extends Reading {
  reader: ContentReader;
  cache: Cache;
  artifact: PartsArtifact;
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
 * Parts that lie in several places of the file are kept on disk meanwhile. Throws `network`, `denied`, `system`.
 */
export async function verifyFileOfParts(
  file: RecipeFile,
  { reader, cache, artifact, signal, onBytes }: PartsToVerify,
): Promise<Problem[]> {
  const faults: Problem[] = [];
  const whole = createHash("sha256");
  const uses = new Map<number, number>();
  file.segments.each((part) => uses.set(part, (uses.get(part) ?? 0) + 1));
  /** Reads a part; where it is wrong, the whole file can't be right. */
  const readPart = async (
    part: StoredPart,
    onChunk: (chunk: Uint8Array, at: number) => Promise<void> | void,
  ): Promise<void> => {
    const label = `part ${shortDigest(part.digest)}`;
    try {
      const found = await hashPart(reader, part, { signal, onBytes }, onChunk);
      if (found.hash.digest("hex") === part.digest.slice(7) && found.size === part.size) return;
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
  };
  const kept = partsOnDisk(cache);
  try {
    for (const { part: index, offset, length } of file.segments) {
      signal.throwIfAborted();
      const part = artifact.parts[index];
      if (part === undefined) throw new TypeError(`a recipe has no part ${index}`);
      if (uses.get(index) === 1 && offset === 0 && length === part.size) {
        await readPart(part, (chunk) => void whole.update(chunk));
        continue;
      }
      await kept.keep(index, part.size, (write) => readPart(part, write));
      await kept.read(index, { start: offset, end: offset + length }, signal, (chunk) => {
        whole.update(chunk);
      });
    }
  } finally {
    await kept.remove();
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
  reading: Reading,
  onChunk: (chunk: Uint8Array, at: number) => Promise<void> | void,
): Promise<{ hash: Hash; size: number }> {
  const hash = createHash("sha256");
  let size = 0;
  await readPartBytes(reader, part, reading, async (chunks) => {
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
  { signal, onBytes }: Reading,
  consume: (chunks: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<void> {
  const blob = blobOfPart(part);
  const source = await reader.blobSource(blob, signal);
  const algorithm = digestAlgorithm(blob.digest);
  // Of what is stored as it is the part's own digest says all.
  const hash = part.encoding === "none" ? undefined : createHash(algorithm);
  async function* stored() {
    for await (const chunk of blobChunks(source, { start: 0, end: blob.size }, signal)) {
      hash?.update(chunk);
      onBytes(chunk.byteLength);
      yield chunk;
    }
  }
  if (hash === undefined) return consume(stored());
  await decodePart(part, stored(), `part ${shortDigest(part.digest)}`, consume);
  if (`${algorithm}:${hash.digest("hex")}` === blob.digest) return;
  throw new OcibundleError("integrity", `the blob ${shortDigest(blob.digest)} has other bytes`);
}
