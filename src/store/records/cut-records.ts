import { createHash } from "node:crypto";
import { join } from "node:path";
import * as v from "valibot";
import { DigestSchema } from "../../oci/digest.ts";
import type { Cache } from "../cache/cache.ts";
import { readRecord, removeOldestRecords, writeRecord } from "../cache/record-file.ts";

type Sha256 = `sha256:${string}`;

/** The digests of the parts of files that are not on this machine, so that they are not read again for them. */
export interface CutRecords {
  /** Of a content that is cut by a rule and its numbers; undefined where they are not known. Never throws. */
  find(digest: Sha256, split: string): Promise<Sha256[] | undefined>;
  /** Never throws. */
  add(digest: Sha256, split: string, parts: readonly Sha256[]): Promise<void>;
}

const maxRecords = 512;
const maxBytes = 8 * 1024 * 1024;

const RecordSchema = v.object({
  version: v.literal(1),
  digest: DigestSchema,
  split: v.string(),
  parts: v.array(DigestSchema),
});

type RecordCache = Pick<Cache, "recordsDir" | "tempPath" | "discardTemp">;

/** The records of a cache; nothing is read or written before it is asked for. */
export function openCutRecords(cache: RecordCache): CutRecords {
  const directory = join(cache.recordsDir, "cuts");
  const pathOf = (digest: string, split: string): string =>
    join(directory, `${createHash("sha256").update(`${digest} ${split}`).digest("hex")}.json`);
  return {
    async find(digest, split) {
      const record = await readRecord(pathOf(digest, split), RecordSchema, maxBytes);
      if (record?.digest !== digest || record.split !== split) return undefined;
      return record.parts.every(isSha256) ? record.parts : undefined;
    },
    async add(digest, split, parts) {
      try {
        const text = JSON.stringify({ version: 1, digest, split, parts });
        if (text.length > maxBytes) return;
        await writeRecord(cache, pathOf(digest, split), text);
        await removeOldestRecords(directory, { records: maxRecords });
      } catch {
        // Without it the file is read once more.
      }
    },
  };
}

const isSha256 = (digest: string): digest is Sha256 => digest.startsWith("sha256:");
