import type { TarSource } from "./source.ts";

/** What is fetched around a header, in bytes: it holds the headers of many small files. */
const windowSize = 128 * 1024;

/**
 * A plain tar archive of `size` bytes of which any range can be read: what is passed over is not fetched.
 * `read` may give fewer bytes only where the archive ends.
 */
export function rangeTarSource(
  read: (start: number, end: number) => Promise<Uint8Array>,
  size: number,
): TarSource {
  let position = 0;
  let window: { start: number; bytes: Uint8Array } = { start: 0, bytes: new Uint8Array(0) };
  return {
    get position() {
      return position;
    },
    async read(length) {
      const end = Math.min(size, position + length);
      const held = window.start + window.bytes.byteLength;
      if (position < window.start || end > held) {
        const upTo = Math.min(size, Math.max(end, position + windowSize));
        window = { start: position, bytes: await read(position, upTo) };
      }
      const from = position - window.start;
      const bytes = window.bytes.subarray(from, from + (end - position));
      position += bytes.byteLength;
      return bytes;
    },
    skip(length) {
      const passed = Math.max(0, Math.min(length, size - position));
      position += passed;
      return Promise.resolve(passed);
    },
  };
}
