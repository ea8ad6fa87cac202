import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import type { Cache } from "../../store/cache/cache.ts";
import {
  checkEntriesApart,
  compressionOf,
  quoted,
  type WeightEntry,
} from "../format/weight-entry.ts";
import { giveNames } from "../format/weight-names.ts";
import { requireImage } from "../graph/require-image.ts";
import { readAllContents } from "../graph/weights-contents.ts";
import type { WeightsContents } from "../graph/manifest-contents.ts";
import type { BlobPart } from "../pull/pull-context.ts";
import { findFiles } from "../pull/pull-entries.ts";
import type { Session } from "../session/session.ts";
import { decodedSource } from "../layout/decoded-source.ts";
import type { OriginalFile } from "../layout/original-file.ts";
import { filesOfParts, partsOfPlain } from "../layout/recipe-files.ts";
import { shifted } from "../layout/shifted-source.ts";

/** Formats whose files have names besides their paths. */
const namedFormats: ReadonlySet<string> = new Set(["bundle", "cog-single"]);

/** Which files of a model, and how long they last. */
export interface FilesOptions {
  /** The directory of an image whose files are meant. */
  path?: string | undefined;
  /** Keeps what was unpacked until the files were read. */
  stack: AsyncDisposableStack;
}

/**
 * The files of a model's weights where they are stored, in any format, with the names that a lock of the same
 * files gives them where the format has none. Of files with digests nothing is fetched but manifests and the
 * headers of plain archives; other plain archives are read once; what is compressed is unpacked into the cache.
 * Throws `not_found` for an image of which no directory is named, and what a pull of the same throws.
 */
export async function filesOfModel(
  session: Session,
  { reader, root }: { reader: ContentReader; root: RawManifest },
  { path, stack }: FilesOptions,
): Promise<OriginalFile[]> {
  const { signal, emit } = session;
  const contents = await readAllContents(reader, root, signal, {
    forImage: path !== undefined,
    onPassed: (message) => emit({ type: "warning", message }),
  });
  requireImage(contents, path, reader.name);
  const files: Found[] = [];
  for (const one of contents) {
    const { entries, packed, parts, format } = one;
    if (parts !== undefined) {
      for (const file of filesOfParts(reader, parts)) files.push({ file, isNamed: true, skip: 0 });
      continue;
    }
    const isNamed = namedFormats.has(format);
    const split = format === "bundle" ? await partsOfPlain(reader, one, signal) : undefined;
    for (const entry of entries) {
      const said = split?.get(entry.name);
      const file = { ...ofEntry(reader, entry), parts: said, arePartsSaid: said !== undefined };
      files.push({ file, isNamed, skip: 0 });
    }
    // The weight's own name tells files of several weights apart, and a lock of one has none.
    const skip = contents.length === 1 ? (packed.tars[0]?.prefix.length ?? 0) : 0;
    const { prefix = "", under = "/" } = packed.tars[0] ?? {};
    const weight =
      format === "cog" ? { name: prefix.replace(/\/$/, ""), target: under } : undefined;
    for (const file of await packedFiles(session, reader, one, { path, stack })) {
      files.push({ file: { ...file, weight }, isNamed, skip });
    }
  }
  const found = named(files);
  checkEntriesApart(found, reader.name);
  return found;
}

/** The files of archives, and of blobs that may be compressed. */
async function packedFiles(
  session: Session,
  reader: ContentReader,
  contents: WeightsContents,
  { path, stack }: FilesOptions,
): Promise<OriginalFile[]> {
  const { files, tars } = contents.packed;
  if (files.length + tars.length === 0) return [];
  if (path === undefined && tars.some(({ overlay }) => overlay)) {
    throw new OcibundleError("not_found", `${reader.name} is an image and has no weights`, {
      hint: "specify a directory of it with `ocibundle copy --layout LAYOUT --path /models`, or pull it with --path",
    });
  }
  const found = await findFiles([{ ...contents, entries: [] }], {
    session,
    source: reader,
    dir: session.tempDir,
    request: { path, useCache: true, force: false, inPlace: true },
  });
  stack.use(found);
  return found.entries.map((entry) => {
    const part = found.parts.get(entry);
    return part === undefined
      ? ofCache(reader, entry, found.session.cache)
      : ofPart(reader, entry, part);
  });
}

interface Found {
  file: OriginalFile;
  /** Whether the name is one, and not the path. */
  isNamed: boolean;
  /** Characters at the beginning of the name that are not of the path. */
  skip: number;
}

function named(found: readonly Found[]): OriginalFile[] {
  const names = giveNames(
    found.map(({ file: { name, dest }, isNamed, skip }) => ({
      path: dest,
      below: name.slice(skip),
      name: isNamed ? name : undefined,
    })),
  );
  return found.map(({ file }, index) => ({ ...file, name: names[index]?.name ?? file.name }));
}

const common = (
  reader: ContentReader,
  { name, dest, digestOriginal, sizeUncompressed }: WeightEntry,
) => ({
  name,
  dest,
  digest: digestOriginal,
  size: sizeUncompressed,
  mismatchHint: `push or copy ${reader.name} again: its content does not match its manifest`,
});

function ofEntry(reader: ContentReader, entry: WeightEntry): OriginalFile {
  const blob = { mediaType: entry.mediaType, digest: entry.digest, size: entry.size };
  const encoding = compressionOf(entry.mediaType);
  const isPlain = entry.digest === entry.digestOriginal;
  return {
    ...common(reader, entry),
    source: async (signal) => {
      const stored = await reader.blobSource(blob, signal);
      return isPlain
        ? stored
        : decodedSource(stored, blob, { encoding, size: entry.sizeUncompressed });
    },
    stored:
      isPlain || encoding === "none"
        ? undefined
        : {
            encoding,
            digest: entry.digest,
            size: entry.size,
            source: (signal) => reader.blobSource(blob, signal),
          },
    ...(reader.reportCorrupt === undefined
      ? {}
      : { reportCorrupt: () => reader.reportCorrupt?.(entry.digest) ?? false }),
  };
}

const ofPart = (
  reader: ContentReader,
  entry: WeightEntry,
  { blob, offset }: BlobPart,
): OriginalFile => ({
  ...common(reader, entry),
  source: async (signal) => shifted(await reader.blobSource(blob, signal), offset),
});

/** A file that was unpacked into the cache. */
const ofCache = (reader: ContentReader, entry: WeightEntry, cache: Cache): OriginalFile => ({
  ...common(reader, entry),
  async source(signal) {
    const path = await cache.find(entry, signal);
    if (path !== undefined) return { kind: "file", path, offset: 0 };
    throw new OcibundleError("system", `weight ${quoted(entry.name)}: the cache no longer has it`, {
      hint: "run the command again, without `ocibundle cache prune` at the same time",
    });
  },
});
