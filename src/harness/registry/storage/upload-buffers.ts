/** What an upload gathers bytes in before they are written and hashed, which other threads may do. */
export type UploadBuffer = Uint8Array<SharedArrayBuffer>;

/** Where uploads take their buffers from. */
export interface UploadBuffers {
  /** A large buffer while there is one, else a small one. Never waits: who holds one may wait for a client. */
  take(): UploadBuffer;
  giveBack(buffer: UploadBuffer): void;
}

/**
 * Bytes come in pieces of some ten KiB, and many small writes are what is slow. What all large buffers take
 * together is the memory of a registry that many push to: three are what an upload has use for.
 */
const large = { bytes: 1024 * 1024, count: 48 } as const;

/** For the uploads that find no large one: slower, and so many clients cost little. Those kept for the next. */
const small = { bytes: 64 * 1024, spare: 256 } as const;

const make = (bytes: number): UploadBuffer => new Uint8Array(new SharedArrayBuffer(bytes));

/** Makes buffers as they are needed, and keeps them: memory shared by threads is given back late. */
export function createUploadBuffers(): UploadBuffers {
  const spareLarge: UploadBuffer[] = [];
  const spareSmall: UploadBuffer[] = [];
  let made = 0;
  return {
    take() {
      const kept = spareLarge.pop();
      if (kept !== undefined) return kept;
      if (made === large.count) return spareSmall.pop() ?? make(small.bytes);
      made += 1;
      return make(large.bytes);
    },
    giveBack(buffer) {
      if (buffer.length === large.bytes) spareLarge.push(buffer);
      else if (spareSmall.length < small.spare) spareSmall.push(buffer);
    },
  };
}
