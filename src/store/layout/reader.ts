import { open, stat } from "node:fs/promises";
import { OcibundleError, errno } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import { type Digest, isDigest, matchesDigest, shortDigest } from "../../oci/digest.ts";
import { maxReadManifestBytes } from "../../oci/document.ts";
import { withSizes } from "../../oci/manifest-sizes.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { manifestTypeOf, ownTypeOf } from "../../oci/manifest-members.ts";
import { essenceOf, isGenericType } from "../../oci/media-types.ts";
import {
  blobPath,
  checkLayoutFile,
  findEntry,
  indexFileName,
  type LayoutIndex,
  layoutFileName,
  parseLayoutIndex,
  tagOf,
} from "./documents.ts";
import { layoutReferrers } from "./referrers.ts";

/** Where a layout's file lies: in a directory each is a file of its own, in an archive a slice of one. */
export interface FilePlace {
  path: string;
  /** In bytes. */
  offset: number;
  /** In bytes. */
  size: number;
}

/** The files of a layout, named with `/` between the parts. */
export interface LayoutFiles {
  /** What a user calls the layout: `oci:./layout`. */
  readonly name: string;
  /** Where a file lies, or undefined when there is none. */
  locate(file: string): Promise<FilePlace | undefined>;
}

/** An OCI image layout that can be read, as a directory or as an archive. */
export interface LayoutReader extends ContentReader {
  /**
   * The manifest that a tag names, or without a tag the only one that is listed.
   * Throws `not_found`, `integrity`, and `usage` where a tag is needed.
   */
  readRoot(tag: string | undefined, signal: AbortSignal): Promise<RawManifest>;
  /** The tag of a manifest that is listed under one, and no other. */
  tagOf(digest: Digest, signal: AbortSignal): Promise<string | undefined>;
}

/**
 * Reads a layout through its files. Throws `file` when they are none: when there is no `oci-layout`, or one of another
 * version. With `warn`, which is told of that, files that have an `index.json` are read all the same, as containers'
 * tools and crane do: its digests tell what is right.
 */
export async function layoutReader(
  files: LayoutFiles,
  warn?: (message: string) => void,
): Promise<LayoutReader> {
  const { name } = files;
  try {
    await checkMarker(files);
  } catch (error) {
    const isLayout =
      warn !== undefined &&
      error instanceof OcibundleError &&
      error.code === "file" &&
      (await files.locate(indexFileName)) !== undefined;
    if (!isLayout) throw error;
    warn(`${error.message}: ignored`);
  }

  const readIndex = async (signal: AbortSignal): Promise<LayoutIndex> => {
    signal.throwIfAborted();
    const place = await files.locate(indexFileName);
    if (place === undefined) {
      throw new OcibundleError("file", `${name}: not an OCI image layout: no file "index.json"`, {
        hint: "specify a complete layout, such as one that `ocibundle build` wrote",
      });
    }
    return parseLayoutIndex(await readDocument(place, `${name}: ${indexFileName}`), name);
  };

  const sizeOf = async (digest: Digest): Promise<number | undefined> =>
    (await files.locate(blobPath(digest)))?.size;
  const readByDigest = async (
    digest: Digest,
    expected: { mediaType: string; size: number } | undefined,
    signal: AbortSignal,
  ): Promise<RawManifest> => {
    const on = `${name}: manifest ${shortDigest(digest)}`;
    const place = await files.locate(blobPath(digest));
    if (place === undefined) throw new OcibundleError("not_found", `${on}: not in the layout`);
    if (expected !== undefined && expected.size !== place.size) {
      throw new OcibundleError(
        "integrity",
        `${on}: ${place.size} bytes, index.json has ${expected.size}`,
      );
    }
    const bytes = await readDocument(place, on);
    if (!matchesDigest(bytes, digest)) {
      throw new OcibundleError("integrity", `${on}: the content does not match this digest`);
    }
    const raw = { mediaType: mediaTypeOf(bytes, expected?.mediaType, on), digest, bytes };
    return withSizes(raw, sizeOf, signal);
  };

  return {
    name,
    async readRoot(tag, signal) {
      const entry = findEntry(await readIndex(signal), tag, name);
      return readByDigest(entry.digest, entry, signal);
    },
    async tagOf(digest, signal) {
      const { manifests } = await readIndex(signal);
      const tags = manifests
        .filter((entry) => entry.digest === digest)
        .map((entry) => tagOf(entry));
      return tags.length === 1 ? tags[0] : undefined;
    },
    async readManifest(tagOrDigest, signal) {
      signal.throwIfAborted();
      if (isDigest(tagOrDigest)) return readByDigest(tagOrDigest, undefined, signal);
      const entry = findEntry(await readIndex(signal), tagOrDigest, name);
      return readByDigest(entry.digest, entry, signal);
    },
    async hasBlob({ digest, size }, signal) {
      signal.throwIfAborted();
      return (await files.locate(blobPath(digest)))?.size === size;
    },
    async blobSource(descriptor, signal) {
      signal.throwIfAborted();
      const on = `${name}: blob ${shortDigest(descriptor.digest)}`;
      const place = await files.locate(blobPath(descriptor.digest));
      if (place === undefined) throw new OcibundleError("not_found", `${on}: not in the layout`);
      if (place.size !== descriptor.size) {
        throw new OcibundleError(
          "integrity",
          `${on}: ${place.size} bytes, the descriptor has ${descriptor.size}`,
        );
      }
      const { path, offset } = place;
      return { kind: "file", path, offset, check: unchangedCheck(path, await fileSize(path), on) };
    },
    async listReferrers(digest, signal, onPassed) {
      const read = (one: Digest, entry: { mediaType: string; size: number }) =>
        readByDigest(one, entry, signal);
      return layoutReferrers(await readIndex(signal), digest, read, onPassed);
    },
  };
}

/** Throws `file` where files have no marker of a layout, or that of another version. */
async function checkMarker(files: LayoutFiles): Promise<void> {
  const { name } = files;
  const marker = await files.locate(layoutFileName);
  if (marker === undefined) {
    throw new OcibundleError("file", `${name}: not an OCI image layout: no file "oci-layout"`, {
      hint: 'specify the directory that contains "oci-layout"',
    });
  }
  checkLayoutFile(await readDocument(marker, `${name}: ${layoutFileName}`), name);
}

/** A check that the file still has the size it was found with. */
const unchangedCheck = (path: string, size: number | undefined, on: string) => async () => {
  if (size === undefined || (await fileSize(path)) === size) return;
  throw new OcibundleError("integrity", `${on}: "${path}" changed while it was read`, {
    hint: "run the command again once nothing writes to the layout",
  });
};

async function fileSize(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** What a manifest is. Its own word and its descriptor's must agree. Throws `integrity`, `file`. */
function mediaTypeOf(bytes: Uint8Array, described: string | undefined, on: string): string {
  const own = ownTypeOf(bytes, on);
  if (own !== undefined && described !== undefined && !isGenericType(described)) {
    if (own !== essenceOf(described)) {
      throw new OcibundleError(
        "integrity",
        `${on}: the media type is "${own}", the descriptor has "${described}"`,
      );
    }
  }
  const known = manifestTypeOf(bytes, described, on);
  if (known !== undefined) return known;
  throw new OcibundleError("file", `${on}: neither a manifest nor an index`);
}

/** The bytes of a small file. Throws `file` when it is larger than a manifest may be. */
export async function readDocument(place: FilePlace, on: string): Promise<Uint8Array> {
  if (place.size > maxReadManifestBytes) {
    throw new OcibundleError("file", `${on}: too large for a document: ${place.size} bytes`);
  }
  const buffer = new Uint8Array(place.size);
  const file = await open(place.path, "r");
  try {
    let filled = 0;
    while (filled < buffer.byteLength) {
      const wanted = buffer.byteLength - filled;
      const { bytesRead } = await file.read(buffer, filled, wanted, place.offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  } finally {
    await file.close();
  }
}
