import { compressionOf, type WeightEntry } from "../format/weight-entry.ts";
import { decodedSource } from "../layout/decoded-source.ts";
import { lockPartsOf } from "../parts/lock-parts.ts";
import type { StoredPart } from "../parts/parts-artifact.ts";
import type { OriginalFile, PartBlob, StoredFile } from "../layout/original-file.ts";
import { type WeightSources, isCompressed, mismatchHint } from "./lock-sources.ts";
import { confirmation, confirmOf } from "./lock-claims.ts";
import { findPlace, weightSource, statWeight } from "./weight-source.ts";

/** A file of the lock as it is, whatever its blob is. */
export function originalFile(entry: WeightEntry, sources: WeightSources): OriginalFile {
  const { paths, remotes, stored, missing } = sources;
  const isHere = paths.has(entry.name) || remotes?.has(entry.name) === true;
  const plain = {
    ...entry,
    digest: entry.digestOriginal,
    size: entry.sizeUncompressed,
  };
  return {
    name: entry.name,
    dest: entry.dest,
    digest: entry.digestOriginal,
    size: entry.sizeUncompressed,
    parts: lockPartsOf(entry, sources.lock),
    storedPart: (part, start) =>
      start === undefined ? undefined : storedPart({ entry, part, start }, sources),
    stored: isCompressed(entry) ? storedFile(entry, sources) : undefined,
    mismatchHint: mismatchHint(entry, sources),
    check: async (signal) => {
      if (isHere || !isCompressed(entry)) await findPlace(plain, sources, signal);
    },
    async source(signal) {
      if (isHere || !isCompressed(entry)) return weightSource(plain, sources, signal);
      // Its file is not here: the blob that the cache keeps is decompressed.
      const path = await stored.cached(entry, signal);
      if (path === undefined) throw missing();
      const blob = { mediaType: entry.mediaType, digest: entry.digest, size: entry.size };
      return decodedSource({ kind: "file", path, offset: 0 }, blob, {
        encoding: compressionOf(entry.mediaType),
        size: entry.sizeUncompressed,
      });
    },
  };
}

/** The blob of a part that is stored in another form: the cache's, or made anew from the file. */
function storedPart(
  { entry, part, start }: { entry: WeightEntry; part: StoredPart; start: number },
  sources: WeightSources,
): PartBlob {
  const { paths, stored, lock, missing } = sources;
  const { digest, size } = part.stored;
  const blob = { digest: digest as `sha256:${string}`, size };
  const here = paths.get(entry.name);
  const original = here === undefined ? undefined : { path: here, start };
  const confirm = confirmation({ part, original }, sources);
  const fileOf = async (): Promise<string> => {
    if (here === undefined) throw missing();
    await statWeight(entry, here, lock);
    return here;
  };
  return {
    check: async (signal) => {
      if ((await stored.cached(blob, signal)) === undefined) await fileOf();
    },
    confirm,
    source: async (signal) => {
      const cached = await stored.cached(blob, signal);
      if (cached !== undefined) {
        await confirm(undefined, signal);
        return { kind: "file", path: cached, offset: 0 };
      }
      return stored.encode(entry, { part, path: await fileOf(), start }, signal);
    },
  };
}

/** The blob that the lock has for a compressed file. */
function storedFile(entry: WeightEntry, sources: WeightSources): StoredFile | undefined {
  const encoding = compressionOf(entry.mediaType);
  if (encoding === "none") return undefined;
  const confirm = confirmOf(entry, sources);
  return {
    encoding,
    digest: entry.digest,
    size: entry.size,
    source: (signal) => weightSource(entry, sources, signal),
    check: async (signal) => {
      await findPlace(entry, sources, signal);
    },
    ...(confirm === undefined ? {} : { confirm }),
  };
}
