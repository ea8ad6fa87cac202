import { join } from "node:path";
import * as v from "valibot";
import type { Cache } from "../cache/cache.ts";
import { mergeRecord, readRecord, writeRecord } from "../cache/record-file.ts";

/**
 * The digests of remote files, by what identifies a state of them (a commit, a version, an ETag), so that they are
 * fetched once to be hashed.
 */
export interface RemoteRecords {
  find(key: string | undefined): Promise<`sha256:${string}` | undefined>;
  add(key: string, digest: `sha256:${string}`): void;
  /** Writes what was added, together with what other processes wrote meanwhile. Never throws. */
  save(): Promise<void>;
}

const maxFiles = 20_000;
const maxBytes = 16 * 1024 * 1024;

const RecordsSchema = v.object({
  version: v.literal(1),
  /** The file seen last is the last one. */
  files: v.array(
    v.tuple([
      v.string(),
      v.custom<`sha256:${string}`>(
        (input) => typeof input === "string" && /^sha256:[0-9a-f]{64}$/.test(input),
      ),
    ]),
  ),
});

type RecordCache = Pick<Cache, "recordsDir" | "tempPath" | "discardTemp" | "lockName">;

/** What is known of remote files. Read when it is first asked. */
export function openRemoteRecords(cache: RecordCache): RemoteRecords {
  const path = join(cache.recordsDir, "remote-files.json");
  const read = async () => new Map((await readRecord(path, RecordsSchema, maxBytes))?.files);
  let known: ReturnType<typeof read> | undefined;
  const added = new Map<string, `sha256:${string}`>();
  return {
    async find(key) {
      if (key === undefined) return undefined;
      known ??= read();
      return added.get(key) ?? (await known).get(key);
    },
    add: (key, digest) => void added.set(key, digest),
    async save() {
      if (added.size === 0) return;
      await mergeRecord(cache, "remote-files", async () => {
        const merged = await read();
        for (const [key, digest] of added) {
          merged.delete(key);
          merged.set(key, digest);
        }
        const files = [...merged].slice(-maxFiles);
        await writeRecord(cache, path, JSON.stringify({ version: 1, files }));
        added.clear();
      });
    },
  };
}
