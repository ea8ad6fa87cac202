/** What is smaller is not worth a call, and may be a part of something larger. In bytes. */
const worthReleasing = 16 * 1024;

/**
 * Gives the memory of bytes that nobody needs any more back at once; they are empty then. What waits for
 * the garbage collection is otherwise many times what is in use. Bytes in memory that others share, or
 * that are only a part of it, are left alone: the result is false then.
 */
export function releaseBytes({ buffer, byteLength }: Uint8Array): boolean {
  if (byteLength < worthReleasing || byteLength !== buffer.byteLength) return false;
  if (!(buffer instanceof ArrayBuffer)) return false;
  buffer.transfer(0);
  return true;
}
