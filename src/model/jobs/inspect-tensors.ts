import { OcibundleError } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import { runtime } from "../../runtime/current.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import type { InspectedTensors, TensorsOfFile } from "../../report/tensors.ts";
import { decodingOf } from "../../transfer/download/decode.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { findInTar } from "../graph/tar-ranges.ts";
import { readAllContents } from "../graph/weights-contents.ts";
import { expectedEntries, type WeightsContents } from "../graph/manifest-contents.ts";
import { parsePlace } from "../places/place.ts";
import { type JobContext, openSession } from "../session/session.ts";
import type { PartsArtifact } from "../parts/parts-artifact.ts";
import type { RecipeFile } from "../parts/recipe.ts";
import { allTensors, type ReadAt, type TensorFile } from "../tensors/read-at.ts";
import { readTensors } from "../tensors/read-tensors.ts";
import { compressedReader, partsReader, rangeReader, TooFar } from "./remote-header.ts";

/** From so many tensors on, memory is cleared when a file's are known. */
export const manyTensors = 20_000;

/** Files whose headers are read at once. */
export const filesAtOnce = 4;

/** A file of weights, and how its bytes are read: undefined where that takes unpacking. */
export interface ReadableFile {
  entry: WeightEntry;
  readAt: ReadAt | undefined;
  /** How it is put together, where it is stored in parts. */
  made?: { file: RecipeFile; artifact: PartsArtifact } | undefined;
}

/**
 * The tensors of a model's weights, from the headers of its files: of a registry, only these are fetched. What is
 * read that way is not verified. Throws `usage` for a lock, which has no content.
 */
export async function inspectTensors(job: JobContext, source: string): Promise<InspectedTensors> {
  const session = openSession(job);
  const { signal } = session;
  const place = await parsePlace(session, source);
  if (place.kind === "lock") {
    throw new OcibundleError("usage", `"${source}" is a lock, which contains no tensors`, {
      hint: `use the model in a registry, a layout or an archive; \`ocibundle build -o oci:model --weights DIR --lock ${source}\` makes a layout`,
    });
  }
  const { reader, root, name, close } = await place.open();
  try {
    const files = await readableFilesOf(reader, root, signal, (message) => {
      session.emit({ type: "warning", message });
    });
    const listed = await parallel(files, filesAtOnce, signal, tensorsOf);
    // What their headers were read into is as large as the list.
    if (listed.some(({ tensors }) => (tensors?.length ?? 0) >= manyTensors)) {
      runtime.collectGarbage();
    }
    return { name, digest: root.digest, files: listed };
  } finally {
    await close();
  }
}

/**
 * The files of a model's weights. Throws `not_found` where it has none, and as `readAllContents`, where `onPassed` is
 * explained.
 */
export async function readableFilesOf(
  reader: ContentReader,
  root: RawManifest,
  signal: AbortSignal,
  onPassed?: (message: string) => void,
): Promise<ReadableFile[]> {
  const contents = await readAllContents(reader, root, signal, { onPassed });
  const files: ReadableFile[] = [];
  for (const one of contents) files.push(...(await readableFiles(reader, one, signal)));
  return files;
}

async function readableFiles(
  reader: ContentReader,
  { entries, packed, parts }: WeightsContents,
  signal: AbortSignal,
): Promise<ReadableFile[]> {
  if (parts !== undefined) {
    return entries.map((entry, index) => {
      const file = parts.recipe.files[index];
      if (file === undefined) return { entry, readAt: undefined };
      const made = { file, artifact: parts };
      return { entry, readAt: partsReader(reader, file, parts, signal), made };
    });
  }
  const files = entries.map((entry): ReadableFile => {
    const { mediaType, digest, size, digestOriginal, sizeUncompressed } = entry;
    const blob = { mediaType, digest, size };
    const { codec } = decodingOf(blob, { digest: digestOriginal, size: sizeUncompressed });
    const readAt =
      codec === undefined
        ? rangeReader(reader, { blob, offset: 0, size }, signal)
        : compressedReader(reader, blob, { encoding: codec, size: sizeUncompressed }, signal);
    return { entry, readAt };
  });
  for (const tar of packed.tars) {
    if (tar.expected === undefined) continue;
    const offsets = await findInTar(reader, tar, signal);
    for (const [index, [inside, { size }]] of [...tar.expected].entries()) {
      const entry = expectedEntries(tar)[index];
      const offset = offsets?.get(inside);
      if (entry === undefined) continue;
      const place = offset === undefined ? undefined : { blob: tar.blob, offset, size };
      files.push({ entry, readAt: place && rangeReader(reader, place, signal) });
    }
  }
  return files;
}

/** What a file has of tensors; undefined where it has none that is known, or they can't be read from its header. */
export async function tensorsIn({ entry, readAt }: ReadableFile): Promise<TensorFile | undefined> {
  if (readAt === undefined) return undefined;
  try {
    return await readTensors(readAt, entry.sizeUncompressed);
  } catch (error) {
    if (error instanceof TooFar) return undefined;
    throw error;
  }
}

async function tensorsOf(file: ReadableFile): Promise<TensorsOfFile> {
  const { name, dest, sizeUncompressed: size } = file.entry;
  const nothing = { name, dest, size, format: null, tensors: null };
  const found = await tensorsIn(file);
  if (found === undefined) return nothing;
  return {
    ...nothing,
    format: found.format,
    tensors: allTensors(found).map(({ name: tensor, dtype, shape, start, end }) => ({
      name: tensor,
      dtype: dtype ?? null,
      shape: shape ?? null,
      bytes: end - start,
    })),
  };
}
