import type { FileHandle } from "node:fs/promises";
import { OcibundleError } from "../../errors.ts";
import type { ByteRange } from "../../oci/content.ts";
import type { AnswerMemory } from "./answer-memory.ts";
import type { DiskReader } from "./disk-reads.ts";

/**
 * Bytes of a file that stays, from the page cache or from what `begin` gives. A chunk is valid until the next one is
 * asked for. Throws `integrity` where it is shorter.
 */
export async function* fileBytes(
  file: FileHandle,
  range: ByteRange,
  { memory, begin }: { memory: AnswerMemory; begin(): DiskReader },
): AsyncGenerator<Uint8Array, void, undefined> {
  const disk = begin();
  // One piece is read while the other is sent.
  let [share, other] = [memory.share(), memory.share()];
  const read = async (at: number): Promise<Uint8Array> => {
    const uncached = await disk.read(at);
    if (uncached !== undefined) return uncached;
    const buffer = share.buffer(range.end - at);
    const length = Math.min(buffer.byteLength, range.end - at);
    const { bytesRead } = await file.read(buffer, 0, length, at);
    if (bytesRead === 0) throw new OcibundleError("integrity", "a cached file was truncated");
    return buffer.subarray(0, bytesRead);
  };
  let ahead: Promise<Uint8Array> | undefined;
  try {
    for (let at = range.start; at < range.end;) {
      const piece = await (ahead ?? read(at));
      at += piece.byteLength;
      [share, other] = [other, share];
      ahead = at < range.end ? read(at) : undefined;
      // Its failure is thrown when its turn comes, if it does.
      ahead?.catch(() => {});
      yield piece;
    }
  } finally {
    await ahead?.catch(() => {});
    share.end();
    other.end();
    disk.end();
    await file.close();
  }
}
