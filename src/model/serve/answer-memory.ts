import type { FileHandle } from "node:fs/promises";
import { Buffer } from "node:buffer";
import { OcibundleError } from "../../errors.ts";
import type { ByteRange } from "../../oci/content.ts";
import { releaseBytes } from "../../runtime/release-bytes.ts";

/**
 * What files are read into to be sent, of all answers together, in bytes. The runtime may hold as much again: what
 * a client has not taken yet.
 */
const budget = 16 * 1024 * 1024;

/** Read and sent in one piece, in bytes: with many answers less, since they share the budget. */
const pieceBytes = { most: 256 * 1024, least: 32 * 1024 } as const;

/** The memory of all answers that are being sent. */
export interface AnswerMemory {
  /** That of one answer. */
  share(): AnswerShare;
}

/** The memory of one answer. Call `end` when it is sent or has failed. */
export interface AnswerShare {
  /**
   * A buffer for the next piece of which `wanted` bytes are there. It is used again for the one after: a new one for
   * each would fill the memory before the runtime takes them back.
   */
  buffer(wanted: number): Buffer;
  /** Nothing of it is needed any more. */
  end(): void;
}

/** Memory for all answers of one server: with many at once, each gets smaller buffers. */
export function answerMemory(): AnswerMemory {
  let answers = 0;
  const piece = (): number => {
    const each = 2 ** Math.floor(Math.log2(budget / Math.max(1, answers)));
    return Math.min(pieceBytes.most, Math.max(pieceBytes.least, each));
  };
  return {
    share() {
      let held: Buffer | undefined;
      answers += 1;
      return {
        buffer(wanted) {
          const most = piece();
          const least = Math.min(most, wanted);
          if (held !== undefined && held.byteLength <= most && held.byteLength >= least)
            return held;
          if (held !== undefined) releaseBytes(held);
          // The first piece behind a front is small, and others follow.
          held = Buffer.allocUnsafeSlow(Math.min(most, Math.max(wanted, pieceBytes.least)));
          return held;
        },
        end() {
          answers -= 1;
          if (held !== undefined) releaseBytes(held);
          held = undefined;
        },
      };
    },
  };
}

/**
 * Bytes of a file that stays. A chunk is valid until the next one is asked for. Throws `integrity` where it is
 * shorter.
 */
export async function* fileBytes(
  file: FileHandle,
  range: ByteRange,
  memory: AnswerMemory,
): AsyncGenerator<Uint8Array, void, undefined> {
  // One piece is read while the other is sent.
  let [share, other] = [memory.share(), memory.share()];
  const read = async (at: number): Promise<Uint8Array> => {
    const buffer = share.buffer(range.end - at);
    const length = Math.min(buffer.byteLength, range.end - at);
    const { bytesRead } = await file.read(buffer, 0, length, at);
    if (bytesRead === 0) throw new OcibundleError("integrity", "a cached file was truncated");
    return buffer.subarray(0, bytesRead);
  };
  let ahead: Promise<Uint8Array> | undefined;
  try {
    for (let at = range.start; at < range.end;) {
      const piece = await (ahead ?? read(at));
      at += piece.byteLength;
      [share, other] = [other, share];
      ahead = at < range.end ? read(at) : undefined;
      // Its failure is thrown when its turn comes, if it does.
      ahead?.catch(() => {});
      yield piece;
    }
  } finally {
    await ahead?.catch(() => {});
    share.end();
    other.end();
    await file.close();
  }
}
