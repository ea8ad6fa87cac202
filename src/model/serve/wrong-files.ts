import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { errno } from "../../errors.ts";
import { dropOldest } from "../../flow/drop-oldest.ts";
import { type Digest, digestHex } from "../../oci/digest.ts";
import { unreadableBecause } from "../../runtime/file-faults.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { removeOldestRecords, writeRecord } from "../../store/cache/record-file.ts";
import type { EmitEvent } from "../../transfer/events.ts";

/** Of more, the oldest are forgotten. */
const most = { records: 4096 };

/**
 * Files of which wrong bytes were sent before their digest was known: what a client has of one is not to be gone on
 * from, whenever it comes again. Kept in the cache, for the next server too.
 */
export interface WrongFiles {
  has(digest: Digest): boolean;
  /** Never throws: a cache that can't be written is left alone. */
  add(digest: Digest): Promise<void>;
}

/** What earlier servers of a cache have noted; there is a warning where that can't be read. */
export async function openWrongFiles(cache: Cache, emit: EmitEvent): Promise<WrongFiles> {
  const directory = join(cache.recordsDir, "serve", "wrong");
  const names = await readdir(directory).catch((error: unknown) => {
    if (errno(error) !== "ENOENT") {
      const message = `"${directory}" ${unreadableBecause(error)}: downloads of files that had wrong content before are resumed`;
      emit({ type: "warning", message });
    }
    return [];
  });
  const known = new Set(names.slice(0, most.records));
  return {
    has: (digest) => known.has(digestHex(digest)),
    async add(digest) {
      const name = digestHex(digest);
      if (known.has(name)) return;
      known.add(name);
      dropOldest(known, most.records);
      await writeRecord(cache, join(directory, name), "").catch(() => undefined);
      await removeOldestRecords(directory, most).catch(() => undefined);
    },
  };
}
