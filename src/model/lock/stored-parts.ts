import { lockPartsMember, type WeightEntry } from "../format/weight-entry.ts";
import { type LockParts, lockPartsOf, lockPartsValue, piecesOf } from "../parts/lock-parts.ts";
import { asItIs, type StoredPart } from "../parts/parts-artifact.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { openFormRecords } from "../../store/records/form-records.ts";
import type { ReadOptions } from "../weights/file-state.ts";
import { type PartsCompression, type PieceOfFile, storeParts } from "../weights/store-parts.ts";

/** How the parts of a lock's entries are to be stored. */
export interface StoreChoice {
  choice: PartsCompression;
  /** Where each file lies, by its name. */
  paths: ReadonlyMap<string, string>;
  /** Forms of parts that were made before, by the digests of the originals. */
  known: ReadonlyMap<string, StoredPart>;
  /** The lock's name in messages. */
  on: string;
}

/** The parts of a lock that are stored in another form, by the digests of the originals. Throws `file`. */
export function formsOf(entries: readonly WeightEntry[], on: string): Map<string, StoredPart> {
  const parts = entries.flatMap((entry) => lockPartsOf(entry, on)?.parts ?? []);
  return new Map(
    parts.flatMap((part) => (part.encoding === "none" ? [] : [[part.digest, part] as const])),
  );
}

/** The same without those that this machine has not made or checked itself: what a lock says is not trusted. */
export async function knownForms(
  entries: readonly WeightEntry[],
  on: string,
  cache: Cache,
): Promise<Map<string, StoredPart>> {
  const forms = formsOf(entries, on);
  if (forms.size === 0) return forms;
  const records = await openFormRecords(cache);
  return new Map(
    [...forms].filter(([digest, { encoding, stored }]) => {
      const form = records.find(digest);
      return form?.encoding === encoding && form.digest === stored.digest;
    }),
  );
}

/**
 * The entries with their parts stored as is chosen. Parts that lie in several pieces of their file stay as they are,
 * and so do those of files that are not here. Throws as `storeParts`.
 */
export async function withStoredParts(
  entries: readonly WeightEntry[],
  { choice, paths, known, on }: StoreChoice,
  options: ReadOptions,
): Promise<WeightEntry[]> {
  const done: WeightEntry[] = [];
  for (const entry of entries) {
    const parts = lockPartsOf(entry, on);
    const path = paths.get(entry.name);
    if (parts === undefined) {
      done.push(entry);
      continue;
    }
    const stored =
      choice === "none" || path === undefined
        ? undefined
        : await storeParts(piecesAt(parts, entry.name, path), {
            ...options,
            choice,
            known,
            item: entry.name,
          });
    const form = (part: StoredPart): StoredPart =>
      stored === undefined
        ? choice === "none"
          ? asItIs([part.digest, part.size])
          : part
        : (stored.get(part.digest) ?? asItIs([part.digest, part.size]));
    done.push({
      ...entry,
      [lockPartsMember]: lockPartsValue({ ...parts, parts: parts.parts.map(form) }),
    });
  }
  return done;
}

const piecesAt = (parts: LockParts, name: string, path: string): PieceOfFile[] =>
  piecesOf(parts).map(({ part: { digest, size }, start }) => {
    return { part: { digest, size }, name, path, start };
  });
