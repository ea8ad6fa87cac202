import { Buffer } from "node:buffer";
import { Header } from "tar/header";

/** Headers and contents of a tar archive begin at multiples of it, in bytes. */
export const blockSize = 512;

/** The archive's end (POSIX.1-2024, pax, "ustar Interchange Format"): two blocks of zero bytes. */
export const endSize = 2 * blockSize;

/** What follows an entry's content, so that the next one begins with a block. */
export const paddingAfter = (size: number): number => (blockSize - (size % blockSize)) % blockSize;

/** A ustar header that says nothing of when, where or by whom; sizes over 8 GiB are in base 256. */
export function entryHeader(path: string, size: number): Uint8Array {
  const block = Buffer.alloc(blockSize);
  const header = new Header({
    path,
    size,
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: new Date(0),
    type: "File",
  });
  header.encode(block);
  return block;
}
