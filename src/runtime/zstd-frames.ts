/**
 * Follows the frames of zstd data (RFC 8878, 3.1) without decompressing them. `node:zlib` ends without an error
 * where a frame is cut off, and passes over what follows the last one: this tells both.
 */
export interface ZstdFrames {
  /** Takes the next bytes, in any chunking. Throws an error with a `Z` code where no frame begins. */
  take(bytes: Uint8Array): void;
  /** Whether what was taken ends with the end of a frame. */
  isWhole(): boolean;
}

const magic = 0xfd2fb528;
/** The low four bits are free. */
const skippableMagic = 0x184d2a50;

const dictionaryIdSizes = [0, 1, 2, 4] as const;
const contentSizeSizes = [0, 2, 4, 8] as const;

type Step = "magic" | "descriptor" | "block" | "skippable";

/** How many bytes each step looks at. */
const needs: Readonly<Record<Step, number>> = { magic: 4, descriptor: 1, block: 3, skippable: 4 };

/** Finds the ends of zstd frames in bytes that arrive in chunks. Holds no more than a header of a block. */
export function zstdFrames(): ZstdFrames {
  let step: Step = "magic";
  /** The bytes that the step has so far, as a little-endian number. */
  let value = 0;
  let filled = 0;
  /** Bytes to pass over before the next step. */
  let skip = 0;
  let checksumSize = 0;

  const steps: Record<Step, () => void> = {
    magic() {
      if (value === magic) step = "descriptor";
      else if (value - (value % 16) === skippableMagic) step = "skippable";
      else throw damaged("no zstd frame begins here");
    },
    skippable() {
      skip = value;
      step = "magic";
    },
    descriptor() {
      const singleSegment = (value >> 5) & 1;
      const contentSize = contentSizeSizes[value >> 6] ?? 0;
      checksumSize = ((value >> 2) & 1) * 4;
      skip =
        1 -
        singleSegment +
        (dictionaryIdSizes[value & 3] ?? 0) +
        (contentSize === 0 ? singleSegment : contentSize);
      step = "block";
    },
    block() {
      const type = (value >> 1) & 3;
      if (type === 3) throw damaged("a block of a reserved type");
      // A block of the type 1 is one byte, repeated.
      skip = type === 1 ? 1 : value >> 3;
      if ((value & 1) === 0) return;
      skip += checksumSize;
      step = "magic";
    },
  };

  return {
    take(bytes) {
      for (let at = 0; at < bytes.byteLength;) {
        const passed = Math.min(skip, bytes.byteLength - at);
        skip -= passed;
        at += passed;
        const byte = bytes[at];
        if (byte === undefined) return;
        value += byte * 256 ** filled;
        filled += 1;
        at += 1;
        if (filled < needs[step]) continue;
        steps[step]();
        value = 0;
        filled = 0;
      }
    },
    isWhole: () => step === "magic" && skip === 0 && filled === 0,
  };
}

const damaged = (message: string): Error =>
  Object.assign(new Error(message), { code: "ZSTD_frames" });
