import { realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isSpecial, writeToSpecial } from "../../runtime/own-file.ts";
import { unwritable, writeWhole } from "../../store/verified-write.ts";
import { serializeWeightsLock, type WeightsLock } from "../format/weights-lock.ts";

/** Whether a lock is written to a path as to a stream: a device or a FIFO, or what the shell opened. */
export const isStreamed = async (path: string): Promise<boolean> =>
  path.startsWith("/dev/") || (await isSpecial(path));

/**
 * Writes a lock where it lies: a link to it stays a link, and a device or a FIFO stays what it is. Throws
 * `file`, `system`.
 */
export async function writeLockFile(path: string, lock: WeightsLock): Promise<void> {
  const bytes = serializeWeightsLock(lock);
  if (await isStreamed(path)) {
    try {
      return await writeToSpecial(path, bytes);
    } catch (error) {
      throw unwritable(path, error);
    }
  }
  const target = await realpath(path).catch(() => path);
  const temporary = join(dirname(target), `.${basename(target)}-${crypto.randomUUID()}.tmp`);
  await writeWhole(target, temporary, (file) => file.writeFile(bytes));
}
