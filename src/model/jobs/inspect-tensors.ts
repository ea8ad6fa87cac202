import { OcibundleError } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { InspectedTensors, TensorsOfFile } from "../../report/tensors.ts";
import { decodingOf } from "../../transfer/download/decode.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { findInTar } from "../graph/tar-ranges.ts";
import {
  expectedEntries,
  readAllContents,
  type WeightsContents,
} from "../graph/weights-contents.ts";
import { parsePlace } from "../places/place.ts";
import { type JobContext, openSession } from "../session/session.ts";
import type { ReadAt } from "../tensors/read-at.ts";
import { readTensors } from "../tensors/read-tensors.ts";
import { compressedReader, partsReader, rangeReader, TooFar } from "./remote-header.ts";

/** Files whose headers are read at once. */
const filesAtOnce = 4;

/** A file of weights, and how its bytes are read: undefined where that takes unpacking. */
interface ReadableFile {
  entry: WeightEntry;
  readAt: ReadAt | undefined;
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
      hint: "use the model in a registry, a layout or an archive",
    });
  }
  const { reader, root, name, close } = await place.open();
  try {
    const contents = await readAllContents(reader, root, signal);
    const files: ReadableFile[] = [];
    for (const one of contents) files.push(...(await readableFiles(reader, one, signal)));
    return {
      name,
      digest: root.digest,
      files: await parallel(files, filesAtOnce, signal, tensorsOf),
    };
  } finally {
    await close();
  }
}

async function readableFiles(
  reader: ContentReader,
  { entries, packed, parts }: WeightsContents,
  signal: AbortSignal,
): Promise<ReadableFile[]> {
  if (parts !== undefined) {
    return entries.map((entry, index) => {
      const file = parts.recipe.files[index];
      return { entry, readAt: file && partsReader(reader, file, parts, signal) };
    });
  }
  const files = entries.map((entry): ReadableFile => {
    const { mediaType, digest, size, digestOriginal, sizeUncompressed } = entry;
    const blob = { mediaType, digest, size };
    const { codec } = decodingOf(blob, { digest: digestOriginal, size: sizeUncompressed });
    const readAt =
      codec === undefined
        ? rangeReader(reader, { blob, offset: 0, size }, signal)
        : compressedReader(reader, blob, codec, signal);
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

async function tensorsOf({ entry, readAt }: ReadableFile): Promise<TensorsOfFile> {
  const { name, dest, sizeUncompressed: size } = entry;
  const nothing = { name, dest, size, format: null, tensors: null };
  if (readAt === undefined) return nothing;
  try {
    const found = await readTensors(readAt, size);
    if (found === undefined) return nothing;
    return {
      ...nothing,
      format: found.format,
      tensors: found.tensors.map(({ name: tensor, dtype, shape, start, end }) => ({
        name: tensor,
        dtype: dtype ?? null,
        shape: shape === undefined ? null : [...shape],
        bytes: end - start,
      })),
    };
  } catch (error) {
    if (error instanceof TooFar) return nothing;
    throw error;
  }
}
