import { OcibundleError } from "../../errors.ts";
import { compressionOf, type WeightEntry } from "../format/weight-entry.ts";
import { partsSummary } from "../graph/summary.ts";
import { lockPartsOf } from "../parts/lock-parts.ts";
import type { StoredPart } from "../parts/parts-artifact.ts";
import { loadSource } from "../places/load-model.ts";
import { type JobContext, openSession, type Session } from "../session/session.ts";
import { parsePlace } from "../places/place.ts";
import type { Inspected, WeightsSummary } from "../../report/model.ts";

/** Describes what a reference, a layout, an archive or a lock holds. */
export async function inspectSource(job: JobContext, source: string): Promise<Inspected> {
  const session = openSession(job);
  const loaded = await loadSource(session, source, (_child, error) => {
    // What an index lists and what it is for is told by the index: a part of it may be elsewhere.
    if (error.code === "integrity") throw error;
    session.emit({ type: "warning", message: error.message });
  });
  if (loaded.kind === "lock") {
    const { name, created, files } = loaded;
    return { name, type: "lock", created, files, parts: partsOfLock(session, files, name) };
  }
  await using model = loaded;
  return { name: model.name, ...model.summary };
}

/** The parts that a push of a lock stores; null where it has none, and, with a warning, where they can't be read. */
function partsOfLock(
  { emit }: Session,
  files: readonly WeightEntry[],
  on: string,
): WeightsSummary["parts"] {
  try {
    const split = files.map((entry) => lockPartsOf(entry, on));
    if (split.every((parts) => parts === undefined)) return null;
    const parts = files.flatMap((entry, index) => split[index]?.parts ?? wholeParts(entry));
    return partsSummary([...new Map(parts.map((part) => [part.digest, part])).values()]);
  } catch (error) {
    if (!(error instanceof OcibundleError)) throw error;
    emit({ type: "warning", message: error.message });
    return null;
  }
}

/** A file that is not split is one part, stored as it would be without parts; an empty one is none. */
const wholeParts = (entry: WeightEntry): StoredPart[] =>
  entry.sizeUncompressed === 0
    ? []
    : [
        {
          digest: entry.digestOriginal,
          size: entry.sizeUncompressed,
          encoding: entry.digest === entry.digestOriginal ? "none" : compressionOf(entry.mediaType),
          stored: { digest: entry.digest, size: entry.size },
        },
      ];

/** The bytes behind a source, as they are stored. */
export async function inspectRaw(job: JobContext, source: string): Promise<Uint8Array> {
  const place = await parsePlace(openSession(job), source);
  if (place.kind === "lock") return place.bytes;
  const { root, close } = await place.open();
  await close();
  return root.bytes;
}
