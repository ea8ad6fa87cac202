/** What an upload gathers bytes in before they are written and hashed, which other threads may do. */
export type UploadBuffer = Uint8Array<SharedArrayBuffer>;

/** What is known of a body that is received, in bytes. */
export interface BodyProgress {
  received: number;
  /** All of it, where its length was said. */
  length: number | undefined;
}

/** Where uploads take their buffers from. */
export interface UploadBuffers {
  /**
   * A buffer for the next bytes of a body: a large one where it is long, else one of middle size; where there is none
   * left, one of the other kind. Undefined where there is none of either.
   */
  take(body: BodyProgress): UploadBuffer | undefined;
  /** A small buffer, of which there is always one. Nobody waits for another upload: that may wait for its client. */
  takeSmall(): UploadBuffer;
  giveBack(buffer: UploadBuffer): void;
}

/**
 * Bytes come in pieces of some ten to hundred KiB, and each buffer is handed to two other threads, which costs about as
 * much as hashing a MiB. What all of these buffers take together is the memory of a registry that many push
 * to: a dozen uploads have a large one each, or four have three, which is what an upload has use for.
 */
const large = { bytes: 4 * 1024 * 1024, count: 12 } as const;
const middle = { bytes: 1024 * 1024, count: 8 } as const;

/** A body of unknown length is long that is longer than this, in bytes. */
const longFrom = 16 * 1024 * 1024;

/** For the uploads that find no other: slower, and so many clients cost little. Those kept for the next. */
const small = { bytes: 64 * 1024, spare: 256 } as const;

const make = (bytes: number): UploadBuffer => new Uint8Array(new SharedArrayBuffer(bytes));

/** Makes buffers as they are needed, and keeps them: memory shared by threads is given back late. */
export function createUploadBuffers(): UploadBuffers {
  const larges = limited(large);
  const middles = limited(middle);
  const spare: UploadBuffer[] = [];
  return {
    take({ received, length }) {
      const isLong = length === undefined ? received >= longFrom : length - received > middle.bytes;
      const [first, second] = isLong ? [larges, middles] : [middles, larges];
      return first.take() ?? second.take();
    },
    takeSmall: () => spare.pop() ?? make(small.bytes),
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
