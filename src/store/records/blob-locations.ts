import { join } from "node:path";
import * as v from "valibot";
import { type Digest, DigestSchema } from "../../oci/digest.ts";
import type { Cache } from "../cache/cache.ts";
import { mergeRecord, readRecord, writeRecord } from "../cache/record-file.ts";
import { hashedName } from "./hashed-name.ts";

/**
 * In which repositories of one registry this user has seen or pushed a blob: where it can be mounted
 * from. Only a guess, for the registry may have removed it since.
 */
export interface BlobLocations {
  /** The repositories, the one seen last first. */
  repositories(digest: Digest): readonly string[];
  add(digest: Digest, repository: string): void;
  /** Writes what was added, together with what other processes wrote meanwhile. Never throws. */
  save(): Promise<void>;
}

const maxDigests = 20_000;
const maxRepositories = 8;
const maxBytes = 16 * 1024 * 1024;

const LocationsSchema = v.object({
  version: v.literal(1),
  host: v.string(),
  /** Named by their place in this list. */
  repositories: v.array(v.string()),
  /** The digest seen last is the last one. */
  blobs: v.array(v.tuple([DigestSchema, v.array(v.number())])),
});

type Locations = Map<Digest, readonly string[]>;

/** What is known of the blobs of a registry host. One file per host, a fraction of a second at its limit. */
export async function openBlobLocations(cache: Cache, host: string): Promise<BlobLocations> {
  const name = hashedName(host);
  const path = join(cache.recordsDir, "locations", `${name}.json`);
  const known = await read(path, host);
  const added: Locations = new Map();
  return {
    repositories: (digest) => known.get(digest) ?? [],
    add(digest, repository) {
      const before = known.get(digest) ?? [];
      if (before[0] === repository) return;
      put(known, digest, [repository, ...before]);
      put(added, digest, [repository, ...(added.get(digest) ?? [])]);
    },
    async save() {
      if (added.size === 0) return;
      await mergeRecord(cache, `locations-${name}`, async () => {
        const merged = await read(path, host);
        for (const [digest, repositories] of added) {
          put(merged, digest, [...repositories, ...(merged.get(digest) ?? [])]);
        }
        await writeRecord(cache, path, format(host, merged));
        added.clear();
      });
    },
  };
}

function put(locations: Locations, digest: Digest, repositories: readonly string[]): void {
  locations.delete(digest);
  locations.set(digest, [...new Set(repositories)].slice(0, maxRepositories));
}

async function read(path: string, host: string): Promise<Locations> {
  const document = await readRecord(path, LocationsSchema, maxBytes);
  if (document?.host !== host) return new Map();
  return new Map(
    document.blobs.map(([digest, indices]) => [
      digest,
      indices.flatMap((index) => document.repositories[index] ?? []),
    ]),
  );
}

function format(host: string, locations: Locations): string {
  const indices = new Map<string, number>();
  const indexOf = (repository: string): number => {
    const index = indices.get(repository) ?? indices.size;
    indices.set(repository, index);
    return index;
  };
  const blobs = [...locations]
    .slice(-maxDigests)
    .map(([digest, repositories]) => [digest, repositories.map(indexOf)]);
  return JSON.stringify({ version: 1, host, repositories: [...indices.keys()], blobs });
}
