import { Buffer } from "node:buffer";
import type { FileHandle } from "node:fs/promises";

/** The bytes of a tar archive from front to back. */
export interface TarSource {
  /** How many bytes lie before the next one. */
  readonly position: number;
  /** The next `length` bytes, or fewer where the archive ends. Valid until the next call. */
  read(length: number): Promise<Uint8Array>;
  /** Passes over `length` bytes. Resolves to how many there were, where the source can tell. */
  skip(length: number): Promise<number>;
}

/** A tar archive in a file of `size` bytes: what is passed over is not read. */
export function fileTarSource(file: FileHandle, size: number): TarSource {
  let position = 0;
  return {
    get position() {
      return position;
    },
    async read(length) {
      const buffer = Buffer.allocUnsafe(length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await file.read(buffer, filled, length - filled, position + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      position += filled;
      return buffer.subarray(0, filled);
    },
    async skip(length) {
      const passed = Math.max(0, Math.min(length, size - position));
      position += passed;
      return passed;
    },
  };
}

/** A tar archive that arrives, with the content of entries as it comes. */
export interface StreamTarSource extends TarSource {
  /** The next `length` bytes in any chunking, or fewer where the archive ends. A chunk is valid until the next. */
  chunks(length: number): AsyncGenerator<Uint8Array, void, undefined>;
  /** Ends the stream, whose rest is not wanted. */
  close(): Promise<void>;
}

/** Reads a tar archive from a stream. The stream's errors come through. */
export function streamTarSource(stream: AsyncIterable<Uint8Array>): StreamTarSource {
  const iterator = stream[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  let position = 0;

  const take = async (most: number): Promise<Uint8Array | undefined> => {
    while (rest.byteLength === 0) {
      const next = await iterator.next();
      if (next.done === true) return undefined;
      rest = next.value;
    }
    const taken = rest.subarray(0, most);
    rest = rest.subarray(taken.byteLength);
    position += taken.byteLength;
    return taken;
  };

  async function* chunks(length: number): AsyncGenerator<Uint8Array, void, undefined> {
    let left = length;
    while (left > 0) {
      const chunk = await take(left);
      if (chunk === undefined) return;
      left -= chunk.byteLength;
      yield chunk;
    }
  }

  return {
    get position() {
      return position;
    },
    chunks,
    async close() {
      await iterator.return?.();
    },
    async read(length) {
      const buffer = Buffer.allocUnsafe(length);
      let filled = 0;
      for await (const chunk of chunks(length)) {
        buffer.set(chunk, filled);
        filled += chunk.byteLength;
      }
      return buffer.subarray(0, filled);
    },
    async skip(length) {
      let passed = 0;
      for await (const chunk of chunks(length)) passed += chunk.byteLength;
      return passed;
    },
  };
}
