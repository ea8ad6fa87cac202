/** What an upload gathers bytes in before they are written and hashed, which other threads may do. */
export type UploadBuffer = Uint8Array<SharedArrayBuffer>;

/** Where uploads take their buffers from. */
export interface UploadBuffers {
  /**
   * A buffer for a body of which so many bytes have come: a large one for one that has shown to be large, else one of
   * middle size; where there is none left, one of the other kind, and then a small one. Never waits: who holds one
   * may wait for a client.
   */
  take(received: number): UploadBuffer;
  giveBack(buffer: UploadBuffer): void;
}

/**
 * Bytes come in pieces of some ten KiB, and many small writes are what is slow. What all of these buffers take
 * together is the memory of a registry that many push to: three of them are what an upload has use for, so that two
 * large uploads have large ones, and a dozen others of middle size.
 */
const large = { bytes: 4 * 1024 * 1024, count: 6 } as const;
const middle = { bytes: 1024 * 1024, count: 28 } as const;

/** A body is large that is longer than this, in bytes. */
const largeFrom = 16 * 1024 * 1024;

/** For the uploads that find no other: slower, and so many clients cost little. Those kept for the next. */
const small = { bytes: 64 * 1024, spare: 256 } as const;

const make = (bytes: number): UploadBuffer => new Uint8Array(new SharedArrayBuffer(bytes));

/** Makes buffers as they are needed, and keeps them: memory shared by threads is given back late. */
export function createUploadBuffers(): UploadBuffers {
  const larges = limited(large);
  const middles = limited(middle);
  const spare: UploadBuffer[] = [];
  return {
    take(received) {
      const [first, second] = received >= largeFrom ? [larges, middles] : [middles, larges];
      return first.take() ?? second.take() ?? spare.pop() ?? make(small.bytes);
    },
    giveBack(buffer) {
      if (buffer.length === large.bytes) larges.giveBack(buffer);
      else if (buffer.length === middle.bytes) middles.giveBack(buffer);
      else if (spare.length < small.spare) spare.push(buffer);
    },
  };
}

function limited({ bytes, count }: { bytes: number; count: number }) {
  const kept: UploadBuffer[] = [];
  let made = 0;
  return {
    take(): UploadBuffer | undefined {
      const one = kept.pop();
      if (one !== undefined || made === count) return one;
      made += 1;
      return make(bytes);
    },
    giveBack: (buffer: UploadBuffer): void => void kept.push(buffer),
  };
}
