import { join } from "node:path";
import * as v from "valibot";
import { type Descriptor, MediaTypeSchema, SizeSchema } from "../../oci/descriptor.ts";
import { type Digest, DigestSchema, digestHex, matchesDigest } from "../../oci/digest.ts";
import { readDocument } from "../../runtime/read-document.ts";
import type { Cache } from "../cache/cache.ts";
import { mergeRecord, readRecord, removeOldestRecords, writeRecord } from "../cache/record-file.ts";
import { hashedName } from "./hashed-name.ts";

/** A compressed layer that was pushed. */
export type LayerBlob = Pick<Descriptor, "mediaType" | "digest" | "size">;

/** The blob that a layer was compressed to, and where it was pushed. */
export interface LayerRecord {
  blob: LayerBlob;
  /** Repositories of the host that it was pushed to, the last one first. */
  repositories: readonly string[];
}

/**
 * Which compressed blob an image's layer became on one registry, so that an unchanged layer of an
 * engine's image is neither exported, compressed nor sent again. The caller asks the registry whether
 * it still has the blob.
 */
export interface LayerRecords {
  /** What a layer (its diff ID) was pushed as; first what `repository` has, then the last pushed. */
  find(diffId: string, repository: string): readonly LayerRecord[];
  add(diffId: string, blob: LayerBlob, repository: string): void;
  /** Writes what was added, together with what other processes wrote meanwhile. Never throws. */
  save(): Promise<void>;
}

const maxLayers = 5000;
const maxBlobsOfLayer = 4;
const maxRepositories = 8;
const maxBytes = 16 * 1024 * 1024;

const RecordsSchema = v.object({
  version: v.literal(1),
  host: v.string(),
  /** The layer pushed last is the last one; of its blobs and their repositories it is the first. */
  layers: v.array(
    v.object({
      diffId: v.string(),
      blobs: v.array(
        v.object({
          mediaType: MediaTypeSchema,
          digest: DigestSchema,
          size: SizeSchema,
          repositories: v.array(v.string()),
        }),
      ),
    }),
  ),
});

type Layers = Map<string, readonly LayerRecord[]>;

/** The records of a registry host. */
export async function openLayerRecords(cache: Cache, host: string): Promise<LayerRecords> {
  const name = hashedName(host);
  const path = join(cache.recordsDir, "layers", `${name}.json`);
  const known = await read(path, host);
  const added: { diffId: string; record: LayerRecord }[] = [];
  return {
    find(diffId, repository) {
      const records = known.get(diffId) ?? [];
      const here = records.filter((record) => record.repositories.includes(repository));
      return [...here, ...records.filter((record) => !here.includes(record))];
    },
    add(diffId, blob, repository) {
      const [last] = known.get(diffId) ?? [];
      if (last?.blob.digest === blob.digest && last.repositories[0] === repository) return;
      const { mediaType, digest, size } = blob;
      const record = { blob: { mediaType, digest, size }, repositories: [repository] };
      put(known, diffId, record);
      added.push({ diffId, record });
    },
    async save() {
      if (added.length === 0) return;
      await mergeRecord(cache, `layers-${name}`, async () => {
        const merged = await read(path, host);
        for (const { diffId, record } of added) put(merged, diffId, record);
        await writeRecord(cache, path, format(host, merged));
        added.length = 0;
      });
    },
  };
}

function put(layers: Layers, diffId: string, { blob, repositories }: LayerRecord): void {
  const records = layers.get(diffId) ?? [];
  const same = records.find((record) => record.blob.digest === blob.digest);
  const all = new Set([...repositories, ...(same?.repositories ?? [])]);
  const record = { blob, repositories: [...all].slice(0, maxRepositories) };
  layers.delete(diffId);
  layers.set(
    diffId,
    [record, ...records.filter((other) => other !== same)].slice(0, maxBlobsOfLayer),
  );
}

async function read(path: string, host: string): Promise<Layers> {
  const document = await readRecord(path, RecordsSchema, maxBytes);
  if (document?.host !== host) return new Map();
  return new Map(
    document.layers.map(({ diffId, blobs }) => [
      diffId,
      blobs.map(({ repositories, ...blob }) => ({ blob, repositories })),
    ]),
  );
}

function format(host: string, known: Layers): string {
  const layers = [...known].slice(-maxLayers).map(([diffId, records]) => ({
    diffId,
    blobs: records.map(({ blob, repositories }) => ({ ...blob, repositories })),
  }));
  return JSON.stringify({ version: 1, host, layers });
}

const maxConfigs = 256;
const maxConfigBytes = 8 * 1024 * 1024;

const configDirectory = (cache: Cache): string => join(cache.recordsDir, "configs");

/** The bytes of an image config that was kept, checked against the digest; undefined when there are none. */
export async function readKeptConfig(
  cache: Cache,
  digest: Digest,
): Promise<Uint8Array | undefined> {
  const path = join(configDirectory(cache), digestHex(digest));
  try {
    const bytes = await readDocument(path, { maxBytes: maxConfigBytes, noFollow: true });
    return matchesDigest(bytes, digest) ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps an image config for `readKeptConfig`; beyond some hundreds the oldest goes. Never throws. */
export async function keepConfig(cache: Cache, digest: Digest, bytes: Uint8Array): Promise<void> {
  if (bytes.byteLength > maxConfigBytes) return;
  const directory = configDirectory(cache);
  try {
    await writeRecord(cache, join(directory, digestHex(digest)), bytes);
    await removeOldestRecords(directory, { records: maxConfigs });
  } catch {
    // Without it the image is exported again.
  }
}
