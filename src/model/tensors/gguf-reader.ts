import { Odd, type ReadAt } from "./read-at.ts";

/** The header is read up to here: hundreds of thousands of tokens fit. In bytes. */
export const maxHeaderBytes = 256 * 1024 * 1024;
const readBytes = 1024 * 1024;

/**
 * Values, lists in lists and tensors that a header has together: real ones have some thousands, and one that lies could
 * have tens of millions, which take a minute. Texts in a list are not counted, since a vocabulary has hundreds of
 * thousands.
 */
const mostItems = 1_000_000;

/** Names and texts that are kept have so many bytes together: llama.cpp takes names of 63. */
const mostTextBytes = 16 * 1024 * 1024;

/** Thrown where the file ends before its header does. */
export class Ended extends Odd {}

/** Reads little-endian numbers and texts one after another. */
export class GgufReader {
  position = 0;
  private items = 0;
  private textBytes = 0;
  private buffer: Uint8Array = new Uint8Array(0);
  private start = 0;
  private readonly readAt: ReadAt;
  private readonly size: number;

  constructor(readAt: ReadAt, size: number) {
    this.readAt = readAt;
    this.size = size;
  }

  async u32(): Promise<number> {
    return (await this.take(4)).getUint32(0, true);
  }

  /** How much of something follows. Throws `Ended` for more than any file has. */
  async u64(): Promise<number> {
    const value = Number(await this.bigU64());
    if (!Number.isSafeInteger(value)) throw new Ended();
    return value;
  }

  async bigU64(): Promise<bigint> {
    return (await this.take(8)).getBigUint64(0, true);
  }

  async text(length: number): Promise<string> {
    if (length > readBytes) throw new Odd();
    return new TextDecoder().decode(await this.take(length));
  }

  /** A text, as `text`, that is kept. Throws `Odd` for what is too much of it in all. */
  async keptText(): Promise<string> {
    const length = await this.u64();
    this.textBytes += length;
    if (this.textBytes > mostTextBytes) throw new Odd();
    return this.text(length);
  }

  /** Notes an item of the header. Throws `Odd` for too many of them. */
  count(): void {
    this.items += 1;
    if (this.items > mostItems) throw new Odd();
  }

  /** Passes over texts. Those that were read already are passed over at once: waiting for each takes microseconds. */
  async skipTexts(texts: number): Promise<void> {
    let left = texts;
    while (left > 0) {
      await this.skip(await this.u64());
      left -= 1;
      const { buffer, start } = this;
      const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
      let next = this.position - start;
      for (; left > 0 && next + 8 <= view.byteLength; left -= 1) {
        next += 8 + Number(view.getBigUint64(next, true));
      }
      await this.skip(next - (this.position - start));
    }
  }

  skip(length: number): Promise<void> {
    this.position += length;
    if (this.position > this.size) throw new Ended();
    return Promise.resolve();
  }

  private async take(length: number): Promise<DataView> {
    const { position } = this;
    if (position + length > this.size) throw new Ended();
    if (position < this.start || position + length > this.start + this.buffer.byteLength) {
      const wanted = Math.max(length, Math.min(readBytes, this.size - position));
      const bytes = await this.readAt(position, wanted);
      if (bytes.byteLength < length) throw new Ended();
      this.buffer = bytes;
      this.start = position;
    }
    this.position += length;
    const at = position - this.start;
    return new DataView(this.buffer.buffer, this.buffer.byteOffset + at, length);
  }
}
