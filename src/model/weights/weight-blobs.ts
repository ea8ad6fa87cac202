import { constants, type BigIntStats } from "node:fs";
import { access, stat } from "node:fs/promises";
import { OcibundleError } from "../../errors.ts";
import type { BlobSource, BlobToMove } from "../../oci/content.ts";
import { shortDigest } from "../../oci/digest.ts";
import { compressionOf, fileNameOf, quoted, type WeightEntry } from "../format/weight-entry.ts";
import { decodedSource } from "../layout/decoded-source.ts";
import { lockPartsOf } from "../parts/lock-parts.ts";
import type { StoredPart } from "../parts/parts-artifact.ts";
import { mayBeSplit } from "../parts/tree-numbers.ts";
import type { OriginalFile, PartBlob, StoredFile } from "../layout/original-file.ts";
import type { ClaimedForm, FormChecks } from "./confirm-form.ts";
import { notAFile, unreadable } from "./file-errors.ts";
import { type RemoteFile, remoteMismatch, remoteSource } from "./remote-file.ts";
import { watchFile } from "./watched-file.ts";

/** What a lock's blobs are made from. */
export interface WeightSources {
  /** The lock's name in messages. */
  lock: string;
  /** Where each file lies, by its name in the lock. */
  paths: ReadonlyMap<string, string>;
  /** Those that are not on this machine, by the same names. */
  remotes?: ReadonlyMap<string, RemoteFile> | undefined;
  /** Why there is no path for an entry, to be thrown when its file is needed. */
  missing(): OcibundleError;
  stored: StoredWeights;
}

/** What this machine knows of a weight file besides its bytes. */
export interface StoredWeights {
  /** The entry's blob in the cache, or undefined. */
  cached(
    entry: Pick<WeightEntry, "digest" | "size">,
    signal: AbortSignal,
  ): Promise<string | undefined>;
  /** Encodes a part of the file, which begins at `start`, as it is stored. Throws `integrity` when that is another. */
  encode(
    entry: WeightEntry,
    piece: { part: StoredPart; path: string; start: number },
    signal: AbortSignal,
  ): Promise<BlobSource>;
  /** Finds out whether a stored form is that of its original. */
  forms: FormChecks;
  /** Makes the stored (compressed) blob from the file. Throws `integrity` when it is another. */
  compress(entry: WeightEntry, path: string, signal: AbortSignal): Promise<BlobSource>;
}

/** What to do about a file that is not what a lock says. */
export const lockAgain = (lock: string): string =>
  `the file changed since ${lock} was written; run \`ocibundle lock\`, then push again`;

/** The lock's blobs as things to be moved, once a digest; a file is looked at only when its blob is needed. */
export function weightBlobs(entries: readonly WeightEntry[], sources: WeightSources): BlobToMove[] {
  const blobs = new Map<string, BlobToMove>();
  const originals = new Map<string, WeightEntry>();
  for (const entry of entries) {
    const before = originals.get(entry.digest) ?? entry;
    originals.set(entry.digest, before);
    if (before.digestOriginal !== entry.digestOriginal) throw sameBlob(before, entry, sources);
    if (blobs.has(entry.digest)) continue;
    const claim = isCompressed(entry) ? claimOf(entry, sources) : undefined;
    blobs.set(entry.digest, {
      descriptor: { mediaType: entry.mediaType, digest: entry.digest, size: entry.size },
      kind: "weight",
      label: `weight ${quoted(entry.name)}`,
      name: entry.name,
      file: fileNameOf(entry),
      group: "weights",
      canSplit: mayBeSplit(entry.sizeUncompressed),
      mismatchHint: mismatchHint(entry, sources),
      check: async (signal) => {
        await findPlace(entry, sources, signal);
      },
      source: (signal) => weightSource(entry, sources, signal),
      ...(claim === undefined ? {} : { confirm: confirmation(claim, sources) }),
    });
  }
  return [...blobs.values()];
}

const sameBlob = (one: WeightEntry, other: WeightEntry, { lock }: WeightSources): OcibundleError =>
  new OcibundleError(
    "integrity",
    `weights ${quoted(one.name)} and ${quoted(other.name)} have different content, but the same blob in ${lock}`,
    { hint: lockFormsAgain },
  );

const lockFormsAgain = "run `ocibundle lock` again, then push again";

/** What the lock says of the blob of a compressed file. */
function claimOf(entry: WeightEntry, { paths }: WeightSources): ClaimedForm | undefined {
  const encoding = compressionOf(entry.mediaType);
  if (encoding === "none") return undefined;
  const { digestOriginal: digest, sizeUncompressed: size } = entry;
  const path = paths.get(entry.name);
  return {
    part: { digest, size, encoding, stored: { digest: entry.digest, size: entry.size } },
    original: path === undefined ? undefined : { path, start: 0 },
  };
}

/** Holds a claim of the lock against what can be seen. */
const confirmation =
  (claim: ClaimedForm, { stored, lock }: WeightSources): NonNullable<PartBlob["confirm"]> =>
  async (there, signal) => {
    if (await stored.forms.confirm(claim, there, signal)) return;
    const { digest, encoding } = claim.part;
    throw new OcibundleError(
      "integrity",
      `its blob in ${lock}, ${shortDigest(claim.part.stored.digest)}, is not ${shortDigest(digest)} as ${encoding}`,
      { hint: lockFormsAgain },
    );
  };

function mismatchHint({ name }: WeightEntry, { remotes, lock }: WeightSources): string {
  const remote = remotes?.get(name);
  return remote === undefined ? lockAgain(lock) : remoteMismatch(remote.uri);
}

const isCompressed = (entry: WeightEntry): boolean => entry.digest !== entry.digestOriginal;

/** The blob itself, or the file that it is made from as it is now. */
type Place = { blob: string } | { path: string; stats: BigIntStats } | { remote: BlobSource };

async function findPlace(
  entry: WeightEntry,
  { paths, remotes, missing, stored, lock }: WeightSources,
  signal: AbortSignal,
): Promise<Place> {
  const remote = remotes?.get(entry.name);
  if (remote !== undefined) return { remote: remoteSource(entry, remote, lock) };
  const path = paths.get(entry.name);
  if (path === undefined || isCompressed(entry)) {
    const blob = await stored.cached(entry, signal);
    if (blob !== undefined) return { blob };
  }
  if (path === undefined) throw missing();
  const stats = await statWeight(entry, path, lock);
  try {
    await access(path, constants.R_OK);
  } catch (cause) {
    throw unreadable(path, cause);
  }
  return { path, stats };
}

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
  const claim = claimOf(entry, sources);
  return {
    encoding,
    digest: entry.digest,
    size: entry.size,
    source: (signal) => weightSource(entry, sources, signal),
    check: async (signal) => {
      await findPlace(entry, sources, signal);
    },
    ...(claim === undefined ? {} : { confirm: confirmation(claim, sources) }),
  };
}

async function weightSource(
  entry: WeightEntry,
  sources: WeightSources,
  signal: AbortSignal,
): Promise<BlobSource> {
  const { lock, stored } = sources;
  const place = await findPlace(entry, sources, signal);
  if ("remote" in place) return place.remote;
  if ("blob" in place) {
    const claim = isCompressed(entry) ? claimOf(entry, sources) : undefined;
    if (claim !== undefined) await confirmation(claim, sources)(undefined, signal);
    return { kind: "file", path: place.blob, offset: 0 };
  }
  const { path, stats } = place;
  if (isCompressed(entry)) return stored.compress(entry, path, signal);
  return {
    kind: "file",
    path,
    offset: 0,
    check: watchFile(
      {
        path,
        digest: entry.digestOriginal,
        size: entry.sizeUncompressed,
        stats,
        look: () => statWeight(entry, path, lock),
        hint: lockAgain(lock),
      },
      signal,
    ),
  };
}

/** Stats a weight file and compares its size with the lock. Throws `file`, `system`, `integrity`. */
export async function statWeight(
  entry: WeightEntry,
  path: string,
  lock: string,
): Promise<BigIntStats> {
  let stats: BigIntStats;
  try {
    stats = await stat(path, { bigint: true });
  } catch (cause) {
    throw unreadable(path, cause);
  }
  if (stats.isDirectory()) {
    throw new OcibundleError("file", `"${path}" is a directory, not a file`, {
      hint: "specify the file, or push the directory with --weights",
    });
  }
  if (!stats.isFile()) throw notAFile(path, stats);
  if (stats.size !== BigInt(entry.sizeUncompressed)) {
    throw new OcibundleError(
      "integrity",
      `"${path}" has ${stats.size} bytes, expected ${entry.sizeUncompressed} (${lock})`,
      { hint: lockAgain(lock) },
    );
  }
  return stats;
}
