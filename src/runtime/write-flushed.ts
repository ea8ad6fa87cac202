import { readableMode, replaceFile } from "./own-file.ts";

/** Replaces what is at a path with a text that everybody may read, and flushes it. Fails with the system's errors. */
export async function writeFlushed(path: string, text: string): Promise<void> {
  const file = await replaceFile(path, readableMode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}
