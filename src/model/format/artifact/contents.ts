import { OcibundleError } from "../../../errors.ts";
import type { Descriptor } from "../../../oci/descriptor.ts";
import type { ImageManifest } from "../../../oci/manifest.ts";
import { checkNameAndDest, quoted } from "../weight-entry.ts";

/**
 * What the formats of model artifacts have in common. A format is a pure function of bytes: it recognises
 * a manifest and says which files the artifact has and in which blob each lies. Everything else (fetching,
 * unpacking, checking) is done once, for all of them, from what it answers.
 */
export interface ArtifactFormat {
  /** One word, for `--json`: `modelpack`. */
  readonly name: string;
  /** For people: `ModelPack`. */
  readonly title: string;
  matches(manifest: ImageManifest): boolean;
  /** Whether `list` needs the config blob. */
  readonly needsConfig: boolean;
  /** Throws `file`, naming the layer and the rule that it breaks. */
  list(manifest: ImageManifest, context: ListContext): ArtifactContents;
}

/** What a format is given besides the manifest. */
export interface ListContext {
  /** The config blob's bytes; empty where the format does not need it. */
  config: Uint8Array;
  /** The entry of the index that led to the manifest, if one did. */
  entry: Descriptor | undefined;
  /** Names the artifact in messages. */
  on: string;
}

/** What the layers of an artifact hold: files, and archives of files. */
export interface ArtifactContents {
  files: StoredFile[];
  tars: StoredTar[];
}

/** A blob that is one file. */
export interface StoredFile {
  /** A handle, unique in the artifact. */
  name: string;
  /** Where the file goes: absolute, below the directory that is pulled into. */
  dest: string;
  blob: Descriptor;
  /** Whether the blob may be gzip or zstd of the file, which its first bytes tell. */
  maybeCompressed: boolean;
}

/** A blob that is a tar archive, plain or compressed, of files. */
export interface StoredTar {
  blob: Descriptor;
  /** Absolute: what the names of its entries are relative to. */
  under: string;
  /** Put in front of an entry's name to make the handle: empty, or ends in a slash. */
  prefix: string;
  /** The files that it must have, by their names in the archive; undefined where nothing says them. */
  expected: ReadonlyMap<string, ExpectedFile> | undefined;
  /** Whether it is a layer of an image: later layers replace and remove what earlier ones have. */
  overlay: boolean;
  /** The digest of an image's layer once it is decompressed, where the image's config says it. */
  diffId?: string | undefined;
}

/** What a format says of a file in an archive. */
export interface ExpectedFile {
  /** In bytes. */
  size: number;
  digest: `sha256:${string}`;
}

/** A relative path as a name and a dest below the root. Throws `file` for one that leaves it. */
export function fileAt(path: string, on: string): { name: string; dest: string } {
  const file = { name: path, dest: `/${path.replace(/^\.\//, "")}` };
  if (path === "") throw new OcibundleError("file", `${on}: a layer has an empty path`);
  checkNameAndDest(file, on);
  return file;
}

/** The files of an artifact each of whose layers is a file with a path of its own. */
export function rawFile(path: string, blob: Descriptor, on: string): StoredFile {
  return { ...fileAt(path, on), blob, maybeCompressed: false };
}

/** A tar that is unpacked at the root. */
export const tarAtRoot = (blob: Descriptor): StoredTar => ({
  blob,
  under: "/",
  prefix: "",
  expected: undefined,
  overlay: false,
});

/** A media type without its parameters, in lower case: what formats compare. */
export const plainType = (mediaType: string | undefined): string =>
  (mediaType?.split(";")[0] ?? "").trim().toLowerCase();

/** That of a descriptor. */
export const typeOf = ({ mediaType }: Pick<Descriptor, "mediaType">): string =>
  plainType(mediaType);

/** The first of the annotations that is there and not empty. */
export function annotationOf(
  { annotations }: Pick<Descriptor, "annotations">,
  ...keys: readonly string[]
): string | undefined {
  return keys.map((key) => annotations?.[key]).find((value) => value !== undefined && value !== "");
}

/** Names of one kind, told apart by a number where there are several: `license.txt`, `license-2.txt`. */
export function numbered(stem: string, extension: string, index: number): string {
  return index === 0 ? `${stem}${extension}` : `${stem}-${index + 1}${extension}`;
}

/** Throws `file` for a layer that has no path although its format needs one. */
export function withoutPath(blob: Descriptor, on: string, wanted: string): OcibundleError {
  return new OcibundleError(
    "file",
    `${on}: the layer ${blob.digest} (${quoted(blob.mediaType)}) has no ${wanted}`,
    { hint: "use `ocibundle copy`: without it the file name is unknown" },
  );
}

/** What a manifest lists twice with the same content counts once: nothing is unclear about it. */
export const distinct = ({ files, tars }: ArtifactContents): ArtifactContents => ({
  files: firstOf(files, ({ dest, name, blob }) => [blob.digest, name, dest].join("\0")),
  // Layers of an image have an order, in which one may come back.
  tars: firstOf(tars, (tar, index) =>
    tar.overlay ? String(index) : [tar.blob.digest, tar.under, tar.prefix].join("\0"),
  ),
});

function firstOf<T>(list: readonly T[], keyOf: (one: T, index: number) => string): T[] {
  const seen = new Map<string, T>();
  for (const [index, one] of list.entries()) {
    const key = keyOf(one, index);
    if (!seen.has(key)) seen.set(key, one);
  }
  return [...seen.values()];
}
