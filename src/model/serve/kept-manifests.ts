import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import { type Digest, DigestSchema, digestHex, isDigest, matchesDigest } from "../../oci/digest.ts";
import { maxReadManifestBytes } from "../../oci/document.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { readRecord, removeOldestRecords, writeRecord } from "../../store/cache/record-file.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { readSmallBlob } from "../../store/small-blob.ts";

const ManifestSchema = v.object({
  version: v.literal(1),
  mediaType: v.string(),
  /** Base64. */
  bytes: v.string(),
});

const TagSchema = v.object({ version: v.literal(1), reference: v.string(), digest: DigestSchema });

const CommitSchema = v.object({
  version: v.literal(1),
  repository: v.string(),
  digest: DigestSchema,
});

/** Records of one kind, and their bytes together; the oldest are removed when there are more. */
const most = { records: 2000, bytes: 256 * 1024 * 1024 };
/** They are counted when a server starts, and after each so many that were written. */
const sweptEvery = 200;
const maxRecordBytes = Math.ceil(maxReadManifestBytes * 1.4) + 4096;

/** Names of records that are longer than names of files may be, or have slashes. */
const named = (text: string): string => createHash("sha256").update(text).digest("hex");

/** A config up to this size is kept, in bytes: what lists the files of some formats. */
const maxConfigBytes = 8 * 1024 * 1024;

/**
 * What a server remembers of registries from run to run, in the cache's records: manifests by digest, what tags
 * stood for, and which digest a commit is the beginning of. Nothing of it is trusted without a check but the tags,
 * which are only used where nothing may be asked.
 */
export interface ManifestMemory {
  /** A reader whose manifests and configs are kept; nothing is asked twice for a digest. */
  keep(reader: ContentReader, offline: boolean): ContentReader;
  noteCommit(repository: string, commit: string, digest: Digest): Promise<void>;
  findCommit(repository: string, commit: string): Promise<Digest | undefined>;
}

/** Manifests in the cache, for a server whose registry does not answer. `limits` bound what is kept. */
export function manifestMemory(cache: Cache, limits = { ...most, sweptEvery }): ManifestMemory {
  const root = join(cache.recordsDir, "serve");
  const temp = { tempPath: cache.tempPath, discardTemp: cache.discardTemp };
  const place = (kind: string, name: string): string => join(root, kind, name);
  // A cache that can't be written keeps nothing, which costs requests only.
  const write = async (path: string, value: unknown): Promise<void> => {
    await writeRecord(temp, path, `${JSON.stringify(value)}\n`).catch(() => undefined);
    written += 1;
    if (written % limits.sweptEvery === 0) await sweepAll();
  };
  let written = 0;
  const sweepAll = () =>
    Promise.all(
      ["manifests", "tags", "commits"].map((kind) => removeOldestRecords(join(root, kind), limits)),
    );
  void sweepAll();

  const readKept = async (digest: Digest): Promise<RawManifest | undefined> => {
    const path = place("manifests", digestHex(digest));
    const record = await readRecord(path, ManifestSchema, maxRecordBytes);
    if (record === undefined) return undefined;
    const bytes = new Uint8Array(Buffer.from(record.bytes, "base64"));
    return matchesDigest(bytes, digest)
      ? { mediaType: record.mediaType, digest, bytes }
      : undefined;
  };

  return {
    keep(reader, offline) {
      const tagPath = (tag: string): string => place("tags", named(`${reader.name}:${tag}`));
      const keptTag = async (tag: string): Promise<RawManifest> => {
        const record = await readRecord(tagPath(tag), TagSchema, 4096);
        const manifest = record && (await readKept(record.digest));
        if (manifest === undefined) throw notKept(`${reader.name}:${tag}`);
        return manifest;
      };
      return {
        ...reader,
        async readManifest(tagOrDigest, signal) {
          if (!isDigest(tagOrDigest)) {
            if (offline) return keptTag(tagOrDigest);
            const manifest = await reader.readManifest(tagOrDigest, signal);
            const reference = `${reader.name}:${tagOrDigest}`;
            await keepManifest(manifest);
            await write(tagPath(tagOrDigest), { version: 1, reference, digest: manifest.digest });
            return manifest;
          }
          const kept = await readKept(tagOrDigest);
          if (kept !== undefined) return kept;
          if (offline) throw notKept(`${reader.name}@${tagOrDigest}`);
          const manifest = await reader.readManifest(tagOrDigest, signal);
          await keepManifest(manifest);
          return manifest;
        },
        async blobSource(descriptor, signal) {
          const path = await cache.find(descriptor, signal);
          if (path !== undefined) return { kind: "file", path, offset: 0 };
          if (offline) throw notKept(`${reader.name}: blob ${descriptor.digest}`);
          if (descriptor.size > maxConfigBytes) return reader.blobSource(descriptor, signal);
          const bytes = await readSmallBlob(reader, descriptor, signal);
          await keepBlob(bytes, descriptor.digest).catch(() => undefined);
          return { kind: "bytes", bytes };
        },
      };
    },
    noteCommit: (repository, commit, digest) =>
      write(place("commits", named(`${repository}@${commit}`)), { version: 1, repository, digest }),
    async findCommit(repository, commit) {
      const path = place("commits", named(`${repository}@${commit}`));
      const record = await readRecord(path, CommitSchema, 4096);
      if (record?.repository !== repository) return undefined;
      return digestHex(record.digest).startsWith(commit) ? record.digest : undefined;
    },
  };

  async function keepManifest({ digest, mediaType, bytes }: RawManifest): Promise<void> {
    const path = place("manifests", digestHex(digest));
    if (
      await stat(path).then(
        () => true,
        () => false,
      )
    )
      return;
    await write(path, { version: 1, mediaType, bytes: Buffer.from(bytes).toString("base64") });
  }

  async function keepBlob(bytes: Uint8Array, digest: Digest): Promise<void> {
    const path = await cache.tempPath("config");
    try {
      await writeRecord(temp, path, bytes);
      await cache.putFile(path, digest, bytes.byteLength, { name: "config" });
    } finally {
      await cache.discardTemp(path);
    }
  }
}

const notKept = (what: string): OcibundleError =>
  new OcibundleError("network", `${what} is not in the cache`, { hint: "omit --offline" });
