import type { StoredTar } from "../format/artifact/contents.ts";
import { checkEntriesApart, type WeightEntry } from "../format/weight-entry.ts";
import { expectedEntries, type WeightsContents } from "../graph/manifest-contents.ts";
import type { FilePlan } from "../parts/file-plan.ts";
import type { Session } from "../session/session.ts";
import {
  imageFiles,
  plainTarFiles,
  requirePath,
  unpackedFiles,
  unpackOptions,
} from "./listed-entries.ts";
import { listFiles } from "./part-files.ts";
import type { PullSource } from "./pull-context.ts";
import { type UnpackedEntry, unpackedBefore } from "./unpack-layer.ts";
import type { Digest } from "../../oci/digest.ts";

/** What a pull would find, as far as that can be told without unpacking anything. */
export interface ListedAhead {
  entries: WeightEntry[];
  /** Those that are put together from parts. */
  plans: Map<WeightEntry, FilePlan>;
  /** Those that lie in an archive that is fetched whole. */
  packed: ReadonlySet<WeightEntry>;
  archives: { digest: Digest; size: number; listed: boolean }[];
}

interface ListContext {
  /** With a cache that is only looked at. */
  session: Session;
  source: PullSource;
  request: { path?: string | undefined; useCache: boolean };
}

/** The files of weights in any format, as `findFiles` finds them, but nothing is fetched to be unpacked. */
export async function listAhead(
  contents: readonly WeightsContents[],
  context: ListContext,
): Promise<ListedAhead> {
  const plans = new Map<WeightEntry, FilePlan>();
  const packed = new Set<WeightEntry>();
  const archives: ListedAhead["archives"] = [];
  const entries = contents.flatMap((one) => listFiles(one, plans, context.source.name));
  const add = (found: readonly WeightEntry[], inArchive: boolean): void => {
    for (const entry of found) {
      entries.push(entry);
      if (inArchive) packed.add(entry);
    }
  };
  const addArchive = ({ digest, size }: StoredTar["blob"], listed: boolean): void => {
    archives.push({ digest, size, listed });
  };
  for (const { packed: stored } of contents) {
    for (const { blob } of stored.files) addArchive(blob, false);
    const layers = stored.tars.filter(({ overlay }) => overlay);
    const unpacked = await Promise.all(layers.map((tar) => unpackedAlready(tar, context)));
    if (layers.length > 0) {
      const path = requirePath(context.request.path, context.source.name);
      const known = layers.flatMap((tar, at) => {
        const found = unpacked[at];
        return found === undefined ? [] : [{ tar, entries: found }];
      });
      if (known.length === layers.length) add([...imageFiles(known, path, context).keys()], false);
      for (const [at, { blob }] of layers.entries()) {
        if (unpacked[at] === undefined) addArchive(blob, false);
      }
    }
    for (const tar of stored.tars.filter(({ overlay }) => !overlay)) {
      const plain = await plainTarFiles(tar, context);
      if (plain !== undefined) {
        add([...plain.keys()], false);
        continue;
      }
      const before = await unpackedAlready(tar, context);
      if (before === undefined) addArchive(tar.blob, tar.expected !== undefined);
      add(
        before === undefined
          ? expectedEntries(tar).map((entry) => ({ ...entry, digest: entry.digestOriginal }))
          : [...unpackedFiles(tar, before, context).keys()],
        before === undefined,
      );
    }
  }
  checkEntriesApart(entries, context.source.name);
  return { entries, plans, packed, archives };
}

const unpackedAlready = async (
  tar: StoredTar,
  context: ListContext,
): Promise<UnpackedEntry[] | undefined> =>
  context.request.useCache
    ? unpackedBefore(
        tar.blob.digest,
        unpackOptions(tar, context, (name) => tar.expected?.has(name) ?? true),
      )
    : undefined;
