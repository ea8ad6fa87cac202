import type { OriginalFile } from "../layout/original-file.ts";
import { readOptions } from "../lock/read-options.ts";
import type { JobContext } from "../session/session.ts";
import { type PartTarget, sendParts } from "../weights/send-parts.ts";
import type { PartsCompression } from "../weights/store-parts.ts";

/** Gives files whose parts are known the form in which their parts are to be stored. */
export type StoreFiles = (files: readonly OriginalFile[]) => Promise<OriginalFile[]>;

/** How the parts of a model's files are stored; undefined where they stay as they are. */
export function storeFiles(
  job: JobContext,
  choice: PartsCompression | undefined,
  target: PartTarget | undefined,
): StoreFiles | undefined {
  if (choice === undefined || target === undefined) return undefined;
  return (files) => sendParts(files, { ...readOptions(job), choice, target });
}
