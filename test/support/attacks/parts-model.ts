import { zstdCompressSync } from "node:zlib";
import { type Segment, Segments } from "../../../src/model/format/segment-list.ts";
import { type Part, serializeRecipe } from "../../../src/model/parts/recipe.ts";
import {
  partLayer,
  partsManifest,
  type StoredPart,
} from "../../../src/model/parts/parts-artifact.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import type { Model } from "./model-server.ts";

/** A file as a test wants it in a model in parts: its parts, whole, in order. */
export interface FileOfParts {
  name: string;
  parts: readonly Uint8Array[];
}

/** Makes a model whose files are stored in parts; every other part of `packed` files is compressed. */
export function makePartsModel(
  files: readonly FileOfParts[],
  { packed = false }: { packed?: boolean } = {},
): Model {
  const blobs = new Map<string, Uint8Array>();
  const stored: StoredPart[] = [];
  const indexes = new Map<string, number>();
  const listed = files.map(({ name, parts }) => {
    const segments = parts.map((bytes): Segment => {
      const digest = digestOf(bytes);
      let index = indexes.get(digest);
      if (index === undefined) {
        index = stored.length;
        indexes.set(digest, index);
        const blob = packed && index % 2 === 1 ? zstdCompressSync(bytes) : bytes;
        blobs.set(digestOf(blob), blob);
        stored.push({
          digest,
          size: bytes.length,
          encoding: blob === bytes ? "none" : "zstd",
          stored: { digest: digestOf(blob), size: blob.length },
        });
      }
      return [index, 0, bytes.length];
    });
    const bytes = new Uint8Array(Buffer.concat(parts));
    return { name, dest: `/src/weights/${name}`, bytes, segments: Segments.of(segments) };
  });
  const size = [...blobs.values()].reduce((sum, { length }) => sum + length, 0);
  const recipe = serializeRecipe(
    {
      split: { by: "tree/1", least: 65_536, most: 536_870_912 },
      parts: stored.map(({ digest, size: of }): Part => [digest, of]),
      files: listed.map(({ bytes, ...file }) => ({
        ...file,
        digest: digestOf(bytes),
        size: bytes.length,
      })),
    },
    "test",
  );
  blobs.set(digestOf(recipe), recipe);
  const layers = stored.map((part) => partLayer(part, { whole: false }));
  return {
    weights: listed.map(({ name, dest, bytes }) => ({ name, dest, bytes, compression: "none" })),
    manifest: partsManifest(recipe, layers),
    blobs,
    size,
  };
}
