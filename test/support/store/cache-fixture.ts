import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import { type Cache, cacheAt } from "../../../src/store/cache/cache.ts";
import type { BlobAddress } from "../../../src/store/cache/find-blob.ts";
import type { CacheUse } from "../../../src/store/cache/entry.ts";

/** A cache in a temporary directory of its own. */
export interface CacheFixture {
  directory: string;
  cache: Cache;
  /** Puts a text into the cache as a fetch would. */
  put(text: string, use?: CacheUse): Promise<BlobAddress>;
  /** Writes other bytes into a blob's file, as who edits a hard link would. */
  overwrite(digest: Digest, text: string): void;
  /** All paths below the directory of temporary files, the locks, or another of the cache. */
  files(below: "tmp" | "locks" | "blobs" | "records"): string[];
  remove(): void;
}

export function cacheFixture(): CacheFixture {
  const directory = mkdtempSync(join(tmpdir(), "ocibundle-cache-"));
  const cache = cacheAt(join(directory, "cache"));
  return {
    directory,
    cache,
    async put(text, use) {
      const path = await cache.tempPath("test");
      writeFileSync(path, text);
      const blob = { digest: digestOf(text), size: Buffer.byteLength(text) };
      await cache.putFile(path, blob.digest, blob.size, use);
      return blob;
    },
    overwrite(digest, text) {
      const path = cache.blobPath(digest);
      chmodSync(path, 0o644);
      writeFileSync(path, text);
    },
    files: (below) => listFiles(join(cache.root, below)),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Files and empty directories below a directory, relative to it; none where there is no directory. */
export function listFiles(directory: string): string[] {
  try {
    return readdirSync(directory, { recursive: true })
      .map(String)
      .filter((name) => {
        const path = join(directory, name);
        return !statSync(path).isDirectory() || readdirSync(path).length === 0;
      })
      .toSorted();
  } catch {
    return [];
  }
}
