import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { OcibundleError } from "../../errors.ts";
import type { BlobSource } from "../../oci/content.ts";
import { blobChunks } from "../../store/blob-chunks.ts";
import type { CutRecords } from "../../store/records/cut-records.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import { quoted } from "../format/weight-entry.ts";
import { asItIs } from "../parts/parts-artifact.ts";
import type { PartPlaces } from "../../runtime/part-places.ts";
import { partHasher } from "../parts/part-hasher.ts";
import { segmentsOf } from "../parts/segments.ts";
import { isSplit, mayBeSplit, numbersFor, partsOfFile } from "../parts/tree-numbers.ts";
import { type TreeNumbers, treeNumbersOf, treeRule } from "../parts/tree.ts";
import { wholeParts } from "../parts/whole-parts.ts";
import { readTensors } from "../tensors/read-tensors.ts";
import type { OriginalFile } from "./original-file.ts";
import { sourceReader } from "./source-reader.ts";

/** How files are split where they are not yet. */
export interface SplitOptions {
  /** Of which contents the parts are known. */
  cutRecords?: CutRecords | undefined;
  /** The numbers of the version before, so that parts are shared with it; chosen for these files when undefined. */
  numbers?: TreeNumbers | undefined;
  /** The most layers that the manifest may have. */
  layers?: number | undefined;
  signal: AbortSignal;
  emit: EmitEvent;
}

/**
 * Files with their parts. One whose parts are not known, or are only said to be what they are, is read once, wherever
 * it lies, to find their digests; nothing of it is kept. One that has other parts than is said of it is split anew,
 * with a warning. Throws `integrity` for a file that is not what it is said to be.
 */
export async function splitOriginals(
  given: readonly OriginalFile[],
  options: SplitOptions,
): Promise<OriginalFile[]> {
  const { layers, signal, emit } = options;
  const files: OriginalFile[] = [];
  for (const file of given) files.push(await withProvenParts(file, options));
  const known = files.find(({ parts }) => parts !== undefined)?.parts?.split;
  const looked = [];
  for (const file of files) {
    if (file.parts !== undefined || !mayBeSplit(file.size)) looked.push({ file });
    else {
      const source = await file.source(signal);
      const tensors = await readTensors(sourceReader(source, file.size, signal), file.size);
      looked.push({ file, source, found: { size: file.size, tensors } });
    }
  }
  const split = looked.flatMap(({ found }) =>
    found !== undefined && isSplit(found) ? [found] : [],
  );
  const others = files.length - split.length;
  const same = known === undefined ? undefined : treeNumbersOf(known);
  const numbers =
    same === undefined
      ? numbersFor(split, options.numbers, { others, layers })
      : numbersFor(split, same, { others });
  const done: OriginalFile[] = [];
  for (const { file, source, found } of looked) {
    if (source === undefined || found === undefined || !isSplit(found)) done.push(file);
    else {
      const plan = partsOfFile(found, numbers);
      const { parts, segments } = segmentsOf(
        plan,
        await hashParts(file, source, plan, { signal, emit }),
      );
      const by = { by: treeRule, ...numbers };
      done.push({ ...file, parts: { split: by, segments, parts: parts.map(asItIs) } });
    }
  }
  return done;
}

/** A file whose parts are its own: those that are only said to be are held against its bytes, or left out. */
async function withProvenParts(
  file: OriginalFile,
  { cutRecords, signal, emit }: SplitOptions,
): Promise<OriginalFile> {
  const { digest, parts, arePartsSaid, name } = file;
  if (parts === undefined || arePartsSaid !== true) return file;
  const whole = wholeParts(parts);
  if (whole !== undefined) {
    const recorded = await cutRecords?.find(digest, whole.name);
    const found =
      recorded ?? (await hashParts(file, await file.source(signal), whole.plan, { signal, emit }));
    if (recorded === undefined) await cutRecords?.add(digest, whole.name, found);
    if (isDeepStrictEqual(found, whole.digests)) return file;
  }
  const message = `weight ${quoted(name)}: its parts are not as its recipe lists them: splitting it again`;
  emit({ type: "warning", message });
  return { ...file, parts: undefined };
}

/** The digests of a file's parts, from one pass over its bytes, which are held against the file's digest. */
async function hashParts(
  { name, digest, size, mismatchHint }: OriginalFile,
  source: BlobSource,
  plan: readonly PartPlaces[],
  { signal, emit }: Pick<SplitOptions, "signal" | "emit">,
): Promise<`sha256:${string}`[]> {
  emit({ type: "start", phase: "hash", item: name, group: "weights", bytes: size });
  const parts = partHasher(plan);
  const whole = createHash("sha256");
  let at = 0;
  for await (const chunk of blobChunks(source, { start: 0, end: size }, signal)) {
    whole.update(chunk);
    parts.update(chunk);
    at += chunk.byteLength;
    emit({ type: "progress", phase: "hash", item: name, bytes: chunk.byteLength });
  }
  if (at !== size || `sha256:${whole.digest("hex")}` !== digest) {
    throw new OcibundleError(
      "integrity",
      `weight ${quoted(name)}: the content does not match digest ${digest}`,
      mismatchHint === undefined ? {} : { hint: mismatchHint },
    );
  }
  emit({ type: "done", phase: "hash", item: name });
  return parts.digests();
}
