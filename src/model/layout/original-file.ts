import { OcibundleError } from "../../errors.ts";
import type { BlobSource, BlobToMove } from "../../oci/content.ts";
import { below, sharedDirectory } from "../format/shared-directory.ts";
import type { CogSource } from "../format/cog-lock.ts";
import type { LockParts } from "../parts/lock-parts.ts";
import type { StoredPart } from "../parts/parts-artifact.ts";
import { quoted } from "../format/weight-entry.ts";

/** A file of weights as it is, however it is stored. */
export interface OriginalFile {
  /** A handle, unique in the model. */
  name: string;
  /** The absolute path in the container. */
  dest: string;
  digest: `sha256:${string}`;
  /** In bytes. */
  size: number;
  /** Where its bytes lie. Throws what stands against it: a missing file. */
  source(signal: AbortSignal): Promise<BlobSource>;
  /** Throws what is known to stand against `source` without any work. */
  check?(signal: AbortSignal): Promise<void>;
  mismatchHint?: string;
  reportCorrupt?(): boolean;
  /** The compressed blob that stores it, for layouts that keep it so. */
  stored?: StoredFile | undefined;
  /** How it is split, where that is known. */
  parts?: LockParts | undefined;
  /** Whether `parts` is what a recipe says of a file that is stored whole, and was not held against its bytes. */
  arePartsSaid?: boolean | undefined;
  /** The weight that it belongs to, for the layout that tells weights apart. */
  weight?: NamedWeight | undefined;
  /**
   * The blob of a part that is stored in another form, and begins at `start` in the file; undefined where it lies in
   * several pieces of it.
   */
  storedPart?(part: StoredPart, start: number | undefined): PartBlob | undefined;
}

/** One of several weights of a model. */
export interface NamedWeight {
  name: string;
  /** The absolute path of its directory in the container. */
  target: string;
  /** Where Cog's lock says that its files come from. */
  sources?: readonly CogSource[] | undefined;
}

/** What a part is in the form in which it is stored. */
export interface PartBlob {
  source(signal: AbortSignal): Promise<BlobSource>;
  check?: ((signal: AbortSignal) => Promise<void>) | undefined;
  /** As that of a blob to be moved. */
  confirm?: BlobToMove["confirm"];
}

/** A file as a compressed blob. */
export interface StoredFile {
  encoding: "gzip" | "zstd";
  digest: `sha256:${string}`;
  /** In bytes. */
  size: number;
  source(signal: AbortSignal): Promise<BlobSource>;
  check?(signal: AbortSignal): Promise<void>;
  /** As that of a blob to be moved. */
  confirm?: BlobToMove["confirm"];
}

/** A file with the path that a layout knows it by: relative, with `/` between the parts. */
export interface PlacedFile extends OriginalFile {
  path: string;
}

/**
 * Files with paths relative to the directory that all dests share, and that directory, absolute. Throws `file` for
 * none.
 */
export function placeFiles(files: readonly OriginalFile[]): {
  files: PlacedFile[];
  directory: string;
} {
  if (files.length === 0) throw new OcibundleError("file", "no files to push");
  const directory = sharedDirectory(files.map(({ dest }) => dest));
  return { directory, files: placeBelow(files, directory) };
}

/** Files with their paths relative to a directory that all lie in, in the order of these paths. */
export function placeBelow(files: readonly OriginalFile[], directory: string): PlacedFile[] {
  const placed = files.map((file) => ({ ...file, path: below(directory, file.dest) }));
  return placed.toSorted((a, b) => compareBytes(a.path, b.path));
}

const encoder = new TextEncoder();

const compareBytes = (a: string, b: string): number =>
  Buffer.compare(encoder.encode(a), encoder.encode(b));

/** Throws `usage` where a layout can't hold a file of zero bytes. */
export function refuseEmpty(files: readonly PlacedFile[], layout: string): void {
  const empty = files.find(({ size }) => size === 0);
  if (empty === undefined) return;
  throw new OcibundleError(
    "usage",
    `layout ${layout}: ${quoted(empty.path)} is empty, and registries reject empty blobs`,
    { hint: `exclude it with --exclude, or use --layout image` },
  );
}
