import { zstdCompressSync } from "node:zlib";
import type { Segment } from "../../../src/model/format/segment-list.ts";
import { recipeType } from "../../../src/model/parts/recipe.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { planeEncoder } from "../../../src/runtime/plane-codec.ts";
import { putBlob, putManifest, type RecordingRegistry } from "../registry/recording-registry.ts";
import { partType, manifestType } from "./media-types.ts";

const artifactType = "application/vnd.ocibundle.weights.parts.v1";

export type Bytes = Uint8Array<ArrayBuffer>;

/** Bytes that look random and are the same for each seed. */
export function noise(size: number, seed: number): Bytes {
  const bytes = new Uint8Array(size);
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let index = 0; index < size; index += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[index] = state & 0xff;
  }
  return bytes;
}

export interface TestFile {
  name: string;
  dest?: string;
  /** Parts that the file is put together from, whole, one after another; or pieces of them. */
  pieces: readonly (Bytes | { part: Bytes; start: number; end: number })[];
  /** What the recipe says of it; what it is unless given. */
  claim?: string;
}

export const contentOf = ({ pieces }: Pick<TestFile, "pieces">): Bytes =>
  Buffer.concat(
    pieces.map((piece) =>
      piece instanceof Uint8Array ? piece : piece.part.subarray(piece.start, piece.end),
    ),
  ) as unknown as Bytes;

export interface PutOptions {
  tag?: string;
  /** Parts that are stored as zstd streams. */
  packed?: readonly Bytes[];
  /** Parts in another form: the end of the media type, and the blob. */
  forms?: ReadonlyMap<Bytes, readonly [suffix: string, blob: Bytes]>;
  /** Changes the recipe before it is stored. */
  recipe?: (recipe: Record<string, unknown>) => unknown;
  /** Changes the layers. */
  layers?: (layers: Record<string, unknown>[]) => unknown[];
}

/** Puts a file as plain weights into a registry, with its recipe in their config. */
export async function putPlain(
  registry: RecordingRegistry,
  repository: string,
  file: TestFile,
  { tag = "v1", recipe: change = (same) => same }: Pick<PutOptions, "tag" | "recipe"> = {},
): Promise<void> {
  const content = contentOf(file);
  const layer = await putBlob(
    registry,
    repository,
    content,
    "application/vnd.cog.weights.layer.v1",
  );
  const parts: [string, number][] = [];
  const segments = file.pieces.map((piece): Segment => {
    const { part, start, end } =
      piece instanceof Uint8Array ? { part: piece, start: 0, end: piece.byteLength } : piece;
    const digest = digestOf(part);
    const known = parts.findIndex(([other]) => other === digest);
    const index = known === -1 ? parts.push([digest, part.byteLength]) - 1 : known;
    return [index, start, end - start];
  });
  const dest = file.dest ?? `/src/${file.name}`;
  const recipe = change({
    version: "1",
    split: { by: "tree/1", least: 65_536, most: 536_870_912 },
    parts,
    files: [{ name: file.name, dest, digest: layer.digest, size: content.byteLength, segments }],
  });
  const config = await putBlob(registry, repository, JSON.stringify(recipe), recipeType);
  await putManifest(registry, repository, tag, {
    schemaVersion: 2,
    mediaType: manifestType,
    artifactType: "application/vnd.cog.weights.v1",
    config,
    layers: [
      {
        ...layer,
        annotations: { "vnd.cog.weights.name": file.name, "vnd.cog.weights.dest": dest },
      },
    ],
  });
}

const zstd = (bytes: Bytes): Bytes => new Uint8Array(zstdCompressSync(bytes));

/** Bytes as planes, as an encoder makes them. */
export function planes(bytes: Bytes, width: 2 | 4 = 2): Bytes {
  const frames: Uint8Array[] = [];
  const emit = (frame: Uint8Array) => frames.push(new Uint8Array(frame));
  const encoder = planeEncoder({ width, emit });
  encoder.take(bytes);
  encoder.end();
  encoder.close();
  return new Uint8Array(Buffer.concat(frames));
}

/** Numbers of two or four bytes whose last bytes are much alike, as those of weights are; the same for each seed. */
export function weights(size: number, seed: number, width: 2 | 4 = 2): Bytes {
  const bytes = noise(size, seed);
  for (let at = width - 1; at < size; at += width) bytes[at] = 0x3b + ((bytes[at] ?? 0) & 3);
  return bytes;
}

/** Puts weights in parts into a registry, made by hand. */
export async function putParts(
  registry: RecordingRegistry,
  repository: string,
  files: readonly TestFile[],
  {
    tag = "v1",
    packed = [],
    forms = new Map(packed.map((bytes) => [bytes, ["+zstd", zstd(bytes)] as const])),
    recipe: change = (same) => same,
    layers: relayer = (same) => same,
  }: PutOptions = {},
): Promise<{ digest: string; recipe: string }> {
  const parts = new Map<string, { index: number; bytes: Bytes }>();
  const layers: Record<string, unknown>[] = [];
  const indexOf = async (bytes: Bytes): Promise<number> => {
    const digest = digestOf(bytes);
    const known = parts.get(digest);
    if (known !== undefined) return known.index;
    const index = parts.size;
    parts.set(digest, { index, bytes });
    const form = forms.get(bytes);
    if (form !== undefined) {
      const [suffix, stored] = form;
      layers.push({
        ...(await putBlob(registry, repository, stored, `${partType}${suffix}`)),
        annotations: {
          "vnd.ocibundle.part.digest.original": digest,
          "vnd.ocibundle.part.size.original": String(bytes.byteLength),
        },
      });
    } else layers.push({ ...(await putBlob(registry, repository, bytes, partType)) });
    return index;
  };
  const listed = [];
  for (const file of files) {
    const segments: Segment[] = [];
    for (const piece of file.pieces) {
      const { part, start, end } =
        piece instanceof Uint8Array ? { part: piece, start: 0, end: piece.byteLength } : piece;
      segments.push([await indexOf(part), start, end - start]);
    }
    const content = contentOf(file);
    listed.push({
      name: file.name,
      dest: file.dest ?? `/src/${file.name}`,
      digest: file.claim ?? digestOf(content),
      size: content.byteLength,
      segments,
    });
  }
  const recipe = change({
    version: "1",
    split: { by: "tree/1", least: 65_536, most: 536_870_912 },
    parts: [...parts].map(([digest, { bytes }]) => [digest, bytes.byteLength]),
    files: listed,
  });
  const text = JSON.stringify(recipe);
  const config = await putBlob(registry, repository, text, recipeType);
  const { digest } = await putManifest(registry, repository, tag, {
    schemaVersion: 2,
    mediaType: manifestType,
    artifactType,
    config,
    layers: relayer(layers),
  });
  return { digest, recipe: config.digest };
}
