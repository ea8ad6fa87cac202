import { realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { writeWhole } from "../../store/verified-write.ts";
import { serializeWeightsLock, type WeightsLock } from "../format/weights-lock.ts";

/** Writes a lock where it lies: a link to it stays a link. Throws `file`. */
export async function writeLockFile(path: string, lock: WeightsLock): Promise<void> {
  const target = await realpath(path).catch(() => path);
  const temporary = join(dirname(target), `.${basename(target)}-${crypto.randomUUID()}.tmp`);
  const bytes = serializeWeightsLock(lock);
  await writeWhole(target, temporary, (file) => file.writeFile(bytes));
}
