import { join } from "node:path";
import * as v from "valibot";
import { SizeSchema } from "../../oci/descriptor.ts";
import { DigestSchema } from "../../oci/digest.ts";
import type { Cache } from "../cache/cache.ts";
import { mergeRecord, readRecord, writeRecord } from "../cache/record-file.ts";

const FormSchema = v.object({
  /** Of the part as it is. */
  original: DigestSchema,
  /** `none` where it is best stored as it is; `gzip` of whole files only. */
  encoding: v.picklist(["none", "gzip", "zstd", "bp2.zstd", "bp4.zstd"]),
  /** Of the blob that stores it. */
  digest: DigestSchema,
  size: SizeSchema,
});

/** What a part became when it was stored in another form. */
export type PartForm = v.InferOutput<typeof FormSchema>;

/**
 * What parts of weights became when they were stored in another form, so that a part which is known is not encoded
 * again: in whatever file it lies. A form counts while its blob is in the cache, or where the part is to go.
 */
export interface FormRecords {
  find(original: string): PartForm | undefined;
  add(form: PartForm): void;
  /** Writes what was added, together with what other processes wrote meanwhile. Never throws. */
  save(): Promise<void>;
}

const RecordsSchema = v.object({
  version: v.literal(1),
  /** The form that was made last is the last one. */
  forms: v.array(FormSchema),
});

const maxForms = 10_000;
const maxBytes = 8 * 1024 * 1024;

/** The records in a cache directory. */
export async function openFormRecords(cache: Cache): Promise<FormRecords> {
  const path = join(cache.recordsDir, "forms.json");
  const read = async (): Promise<Map<string, PartForm>> => {
    const document = await readRecord(path, RecordsSchema, maxBytes);
    return new Map((document?.forms ?? []).map((form) => [form.original, form]));
  };
  const known = await read();
  const added: PartForm[] = [];
  return {
    find: (original) => known.get(original),
    add(form) {
      known.set(form.original, form);
      added.push(form);
    },
    async save() {
      if (added.length === 0) return;
      await mergeRecord(cache, "forms", async () => {
        const merged = await read();
        for (const form of added) {
          merged.delete(form.original);
          merged.set(form.original, form);
        }
        const forms = [...merged.values()].slice(-maxForms);
        await writeRecord(cache, path, JSON.stringify({ version: 1, forms }));
        added.length = 0;
      });
    },
  };
}
