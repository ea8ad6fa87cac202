import { posix } from "node:path";
import { OcibundleError } from "../../errors.ts";
import type { StoredTar } from "../format/artifact/contents.ts";
import { checkNameAndDest, quoted, type WeightEntry, plainEntry } from "../format/weight-entry.ts";
import { findInTar } from "../graph/tar-ranges.ts";
import { mergeLayers } from "./overlay.ts";
import type { BlobPart, FetchContext } from "./pull-context.ts";
import { layerLabel, type UnpackedEntry, type UnpackOptions } from "./unpack-layer.ts";

/** Files, and where in a blob those lie that are a part of one. */
export type ListedFiles = ReadonlyMap<WeightEntry, BlobPart | undefined>;

/** An archive and what is in it. */
export interface UnpackedTar {
  tar: StoredTar;
  entries: readonly UnpackedEntry[];
}

/** What is needed to name files that lie in archives. */
type ListContext = Pick<FetchContext, "session" | "source">;

/** An entry whose file is in the cache, or will be fetched as it is. */
export function entryOf(
  { prefix, under }: Pick<StoredTar, "prefix" | "under">,
  name: string,
  { digest, size }: Pick<WeightEntry, "digest" | "size">,
  on: string,
): WeightEntry {
  const dest = posix.join(under, name);
  const entry = plainEntry({ name: `${prefix}${name}`, dest, digest, size });
  checkNameAndDest(entry, on);
  return entry;
}

/**
 * The files of a plain archive whose format lists them, and where in it they lie; an empty one has no range.
 * Undefined where that can't be told without unpacking it.
 */
export async function plainTarFiles(
  tar: StoredTar,
  { source, session }: ListContext,
): Promise<ListedFiles | undefined> {
  if (tar.expected === undefined) return undefined;
  const offsets = await findInTar(source, tar, session.signal);
  if (offsets === undefined) return undefined;
  const found = new Map<WeightEntry, BlobPart | undefined>();
  for (const [name, file] of tar.expected) {
    const offset = offsets.get(name);
    const part = offset === undefined ? undefined : { blob: tar.blob, offset };
    found.set(entryOf(tar, name, file, source.name), part);
  }
  return found;
}

/** The files of an archive that is unpacked. Throws `file` for links. */
export function unpackedFiles(
  tar: StoredTar,
  unpacked: readonly UnpackedEntry[],
  { source, session }: ListContext,
): ListedFiles {
  const on = source.name;
  refuseLinks(unpacked, on);
  const files = new Map<string, [WeightEntry, BlobPart | undefined]>();
  for (const entry of unpacked) {
    if (entry.type !== "file") continue;
    if (files.has(entry.name)) {
      const message = `${on}: ${quoted(entry.name)} appears more than once in an archive; the last one is used`;
      session.emit({ type: "warning", message });
    }
    const made = entryOf(tar, entry.name, { ...entry, digest: sha256(entry) }, on);
    files.set(entry.name, [made, partOf(tar, entry)]);
  }
  return new Map(files.values());
}

const sha256 = ({ digest }: { digest: string }): `sha256:${string}` => digest as `sha256:${string}`;

const partOf = ({ blob }: StoredTar, { offset }: { offset?: number }): BlobPart | undefined =>
  offset === undefined ? undefined : { blob, offset };

/** The directory of an image that is wanted. Throws `not_found` where none is named. */
export function requirePath(path: string | undefined, on: string): string {
  if (path !== undefined) return path;
  throw new OcibundleError("not_found", `${on} is an image and has no weights`, {
    hint: "use --path to pull a directory, such as `--path /models`, or --image to pull the image",
  });
}

/** The files below a directory of an image, out of its unpacked layers. Throws `not_found` where it has none. */
export function imageFiles(
  layers: readonly UnpackedTar[],
  path: string,
  { source, session }: ListContext,
): ListedFiles {
  const on = source.name;
  const places = new Map<string, BlobPart | undefined>();
  for (const { tar, entries } of layers) {
    for (const entry of entries) {
      if (entry.type === "file" && entry.offset !== undefined) {
        places.set(entry.digest, partOf(tar, entry));
      }
    }
  }
  const { files, unresolved, follow } = mergeLayers(layers.map(({ entries }) => entries));
  const asked = posix.join("/", path).replace(/^\//, "").replace(/\/$/, "");
  const directory = follow(asked) ?? asked;
  const inside = (name: string): boolean => directory === "" || name.startsWith(`${directory}/`);
  const lost = unresolved.filter(inside);
  if (lost.length > 0) {
    const more = lost.length > 1 ? ` and ${lost.length - 1} more` : "";
    session.emit({
      type: "warning",
      message: `${quoted(lost[0] ?? "")}${more}: skipped, the link has no target in the image`,
    });
  }
  const found = files.filter(({ name }) => inside(name));
  if (found.length === 0) {
    const isFile = files.some(({ name }) => name === directory);
    const why = isFile ? "is a file of it, not a directory" : "is not a directory with files";
    throw new OcibundleError("not_found", `${on}: ${quoted(`/${asked}`)} ${why}`, {
      hint: isFile
        ? `use \`--path ${quoted(posix.dirname(`/${asked}`))}\``
        : "use another directory of the image with --path",
    });
  }
  const at = directory === "" ? 0 : directory.length + 1;
  const top = { prefix: "", under: "/" };
  return new Map(
    found.map((file) => [
      entryOf(top, file.name.slice(at), { ...file, digest: sha256(file) }, on),
      places.get(file.digest),
    ]),
  );
}

/** How an archive is unpacked into the session's cache. */
export const unpackOptions = (
  tar: StoredTar,
  { source, session: { cache, signal } }: ListContext,
  wants: (name: string) => boolean,
): UnpackOptions => ({
  cache,
  signal,
  wants,
  expected: tar.expected,
  overlay: tar.overlay,
  diffId: tar.diffId,
  origin: source.name,
  on: layerLabel(source.name, tar.blob.digest),
});

/** Weights have no links: where one leads could not be checked. */
function refuseLinks(entries: readonly UnpackedEntry[], on: string): void {
  const link = entries.find((entry) => entry.type === "link" || entry.type === "symlink");
  if (link === undefined) return;
  throw new OcibundleError(
    "file",
    `${on}: ${quoted(link.name)} is a link, which is not supported in weights`,
    {
      hint: "pack the archive again with files instead of links",
    },
  );
}
