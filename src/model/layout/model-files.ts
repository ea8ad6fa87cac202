import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { shortDigest } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { findInTar } from "../graph/tar-ranges.ts";
import { compressionOf, type WeightEntry } from "../format/weight-entry.ts";
import { expectedEntries, readAllContents } from "../graph/weights-contents.ts";
import { decodedSource } from "./decoded-source.ts";
import { giveNames } from "../format/weight-names.ts";
import type { OriginalFile } from "./original-file.ts";
import { filesOfParts, partsOfPlain } from "./recipe-files.ts";
import { shifted } from "./shifted-source.ts";

/** Formats whose files have names besides their paths. */
const namedFormats: ReadonlySet<string> = new Set(["bundle", "cog-single"]);

/**
 * The files of a model's weights where they are stored, in any format whose files have digests, with the
 * names that a lock of the same files gives them where the format has none. Nothing is fetched but manifests
 * and the headers of plain archives. Throws `usage` for archives that have to be unpacked to know their files.
 */
export async function filesOfModel(
  reader: ContentReader,
  root: RawManifest,
  signal: AbortSignal,
): Promise<OriginalFile[]> {
  const contents = await readAllContents(reader, root, signal);
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
      const file = { ...ofEntry(reader, entry), parts: split?.get(entry.name) };
      files.push({ file, isNamed, skip: 0 });
    }
    for (const tar of packed.tars) {
      if (tar.overlay) {
        throw new OcibundleError("not_found", `${reader.name} is an image and has no weights`, {
          hint: "pull a directory with `ocibundle pull --path`, then push it",
        });
      }
      const offsets = tar.expected === undefined ? undefined : await findInTar(reader, tar, signal);
      if (offsets === undefined) throw mustUnpack(reader.name, tar.blob);
      for (const [index, name] of [...(tar.expected?.keys() ?? [])].entries()) {
        const entry = expectedEntries(tar)[index];
        const offset = offsets.get(name);
        if (entry === undefined || offset === undefined) continue;
        // The weight's own name tells files of several weights apart, and a lock of one has none.
        const skip = contents.length === 1 ? tar.prefix.length : 0;
        files.push({ file: ofPart(reader, entry, tar.blob, offset), isNamed, skip });
      }
    }
    const [first] = packed.files;
    if (first !== undefined) throw mustUnpack(reader.name, first.blob);
  }
  return named(files);
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

const mustUnpack = (name: string, { digest }: Descriptor): OcibundleError =>
  new OcibundleError("usage", `${name}: the files of archive ${shortDigest(digest)} are unknown`, {
    hint: "pull the model, then push the directory",
  });

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
      return isPlain ? stored : decodedSource(stored, blob, encoding);
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

function ofPart(
  reader: ContentReader,
  entry: WeightEntry,
  blob: Descriptor,
  offset: number,
): OriginalFile {
  return {
    ...common(reader, entry),
    source: async (signal) => shifted(await reader.blobSource(blob, signal), offset),
  };
}
