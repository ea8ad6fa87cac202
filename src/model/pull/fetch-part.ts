import { OcibundleError, errno } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { shortDigest } from "../../oci/digest.ts";
import { isMisread } from "../../registry/coded-blob.ts";
import { unwritable } from "../../runtime/file-faults.ts";
import { PartPlaces } from "../../runtime/part-places.ts";
import { decodedTooLongCode, type PartJob } from "../../runtime/worker-protocol.ts";
import { type JournalPlace, removeGrown } from "../../transfer/download/download-journal.ts";
import { openPartialFile } from "../../transfer/download/open-partial-file.ts";
import { partView } from "../../transfer/download/part-view.ts";
import { quoted } from "../format/weight-entry.ts";
import type { PlannedPart } from "../parts/file-plan.ts";
import { blobOfPart, type StoredPart } from "../parts/parts-artifact.ts";
import { type FileAssembly, forget, isPart, noteWritten, settlePart } from "./assemble-part.ts";
import { explained, labelOf, rangesOfBlob } from "./pull-download.ts";

/**
 * Fetches a part, and verifies it before it counts. Throws `integrity` where the bytes are others, unless
 * they will come from elsewhere now; `not_found`, `denied`, `network`, `file`, `system`.
 */
export async function fetchPart(
  one: FileAssembly,
  part: PlannedPart,
  signal: AbortSignal,
): Promise<void> {
  const { entry, context } = one;
  const { source } = context;
  const { once } = part;
  const { encoding, stored } = part.stored;
  for (let tries = 1; ; tries += 1) {
    try {
      const isDirect = once !== undefined && encoding === "none";
      const fetched = isDirect
        ? await fetchDirectly(one, part, signal)
        : await fetchEncoded(one, part, signal);
      if (fetched.isRight) return;
      // What an earlier run left may have been wrong, or a mirror's bytes.
      if (fetched.isResumed && tries === 1) continue;
      if (source.reportCorrupt?.(stored.digest) === true) continue;
      throw wrongPart(one, part, "the received content does not match its digest");
    } catch (error) {
      if (isMisread(error) && tries === 1) {
        if (once !== undefined) forget(one, once);
        continue;
      }
      throw explained(error, entry, source);
    }
  }
}

interface Fetched {
  isRight: boolean;
  /** Whether some of it is an earlier run's. */
  isResumed: boolean;
}

const partLabel = ({ entry }: FileAssembly, { stored }: PlannedPart): string =>
  `weight ${quoted(entry.name)}: part ${shortDigest(stored.digest)}`;

const wrongPart = (one: FileAssembly, part: PlannedPart, why: string): OcibundleError =>
  new OcibundleError("integrity", `${partLabel(one, part)}: ${why}`);

/** Lets the bytes of a part grow at their places in the file. */
async function fetchDirectly(
  one: FileAssembly,
  part: PlannedPart,
  signal: AbortSignal,
): Promise<Fetched> {
  const { file, entry, context } = one;
  const { source, downloader } = context;
  const { size } = part.stored;
  const from = {
    open: rangesOfBlob(source, blobOfPart(part.stored)),
    host: source.host ?? source.name,
    label: partLabel(one, part),
    item: entry.name,
    size,
    following: one.following,
  };
  const view = partView(file, part.once ?? PartPlaces.of([]));
  await downloader.fetchInto(view, from, signal);
  return { isRight: await settlePart(one, part, signal), isResumed: view.resumed > 0 };
}

/**
 * Fetches parts from a blob that is the whole file: all that is missing of it, and so these parts. Throws as
 * `fetchPart`.
 */
export async function fetchTogether(
  one: FileAssembly,
  blob: Descriptor,
  parts: readonly PlannedPart[],
  signal: AbortSignal,
): Promise<void> {
  const { entry, file, context } = one;
  const { source, downloader, workers } = context;
  const from = {
    open: rangesOfBlob(source, blob),
    host: source.host ?? source.name,
    label: labelOf(entry),
    item: entry.name,
    size: blob.size,
    following: 0,
  };
  try {
    for (let left = parts, tries = 1; left.length > 0; tries += 1) {
      await downloader.fetchInto(file, from, signal);
      const wrong: PlannedPart[] = [];
      await parallel(left, workers.size, signal, async (part, stop) => {
        if (!(await settlePart(one, part, stop))) wrong.push(part);
      });
      left = wrong;
      const [first] = wrong;
      if (first === undefined) return;
      if (file.resumed > 0 && tries === 1) continue;
      if (source.reportCorrupt?.(blob.digest) === true) continue;
      throw wrongPart(one, first, "the received content does not match its digest");
    }
  } catch (error) {
    throw explained(error, entry, source);
  }
}

/** Where a part grows in the form in which it is stored. */
export function encodedPlace({ partial }: JournalPlace, { digest }: StoredPart): JournalPlace {
  const own = `${partial}.${digest.slice(7, 23)}`;
  return { partial: own, journal: `${own}.journal` };
}

/** Fetches what is stored in another form to a file of its own, and decodes it to its places. */
async function fetchEncoded(
  one: FileAssembly,
  part: PlannedPart,
  signal: AbortSignal,
): Promise<Fetched> {
  const { entry, place, context } = one;
  const { source, downloader, workers } = context;
  const { size, encoding } = part.stored;
  const blob = blobOfPart(part.stored);
  const own = encodedPlace(place, part.stored);
  const stored = await openPartialFile(own, blob);
  try {
    const from = {
      open: rangesOfBlob(source, blob),
      host: source.host ?? source.name,
      label: partLabel(one, part),
      item: entry.name,
      size: blob.size,
      following: one.following,
    };
    await downloader.fetchInto(stored, from, signal);
  } finally {
    await stored.close();
  }
  forget(one, part.places);
  const job: PartJob = {
    from: {
      path: own.partial,
      places: PartPlaces.of([{ start: 0, end: blob.size, position: 0 }]).numbers,
    },
    ...(encoding === "none" ? {} : { decode: { codec: encoding, size } }),
    to: { path: place.partial, places: part.places.numbers },
  };
  let isRight: boolean;
  try {
    isRight = isPart(part, await workers.part(job, { signal }));
  } catch (error) {
    signal.throwIfAborted();
    if (!isOfData(error)) throw unwritable(place.partial, error);
    isRight = false;
  }
  await removeGrown(own);
  if (isRight) {
    noteWritten(one, part.places);
  }
  return { isRight, isResumed: stored.resumed > 0 };
}

/** Whether a job failed for what the bytes are: zlib's and zstd's own errors, and more bytes than there may be. */
const isOfData = (error: unknown): boolean => {
  const code = errno(error) ?? "";
  return code === decodedTooLongCode || /^(?:Z_|ZSTD_|ERR_)/.test(code);
};
