import { Buffer } from "node:buffer";
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
