/** What is smaller is not worth a call, and may be a part of something larger. In bytes. */
const worthReleasing = 16 * 1024;

/** Memory of which nobody needs anything but the rest that was cut off. */
const withRest = new WeakSet<ArrayBufferLike>();

/**
 * Gives the memory of bytes that nobody needs any more back at once; they are empty then. What waits for
 * the garbage collection is otherwise many times what is in use. Bytes in memory that others share, or
 * that are only a part of it, are left alone: the result is false then.
 */
export function releaseBytes(bytes: Uint8Array): boolean {
  const { buffer } = bytes;
  if (buffer.byteLength < worthReleasing || !hasMemoryAlone(bytes)) return false;
  if (!(buffer instanceof ArrayBuffer)) return false;
  buffer.transfer(0);
  return true;
}

/** Whether nobody needs any of the memory that bytes are in but these. */
export const hasMemoryAlone = ({ buffer, byteLength }: Uint8Array): boolean =>
  byteLength === buffer.byteLength || withRest.has(buffer);

/**
 * Bytes without their first ones, which nobody needs any more. Where they had their memory alone, so does what is left,
 * without a copy.
 */
export function cutOff(bytes: Uint8Array, first: number): Uint8Array {
  if (hasMemoryAlone(bytes)) withRest.add(bytes.buffer);
  return bytes.subarray(first);
}
