import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { openOwnFile } from "./own-file.ts";
import { type CopyJob, fileEndedCode } from "./worker-protocol.ts";

/** Small enough to stay in a core's cache between the kernel's two copies. In bytes. */
const chunkBytes = 256 * 1024;

/**
 * Copies ranges of a file into another one, which is there; nothing is hashed. Blocks the thread. `onChunk` is told
 * the number of bytes after each chunk, and ends the work by throwing. Resolves to the number of bytes. Throws errno
 * errors, and one with `fileEndedCode` where a file is shorter than its range, or not this user's own any more.
 */
export async function runCopyJob(
  { from, to, ranges }: CopyJob,
  onChunk?: (bytes: number) => void,
): Promise<number> {
  const output = await openOwnFile(to);
  if (output === undefined) throw ended(`${to} was replaced`);
  try {
    const input = openSync(from, "r");
    try {
      return copyRanges(input, output.fd, { from, ranges }, onChunk);
    } finally {
      closeSync(input);
    }
  } finally {
    await output.close();
  }
}

function copyRanges(
  input: number,
  output: number,
  { from, ranges }: Pick<CopyJob, "from" | "ranges">,
  onChunk: ((bytes: number) => void) | undefined,
): number {
  const buffer = new Uint8Array(chunkBytes);
  let copied = 0;
  for (const { source, target, length } of ranges) {
    for (let done = 0; done < length;) {
      const most = Math.min(buffer.length, length - done);
      const read = readSync(input, buffer, 0, most, source + done);
      if (read === 0) throw ended(`${from}: the file ended before byte ${source + length}`);
      for (let at = 0; at < read;) {
        at += writeSync(output, buffer, at, read - at, target + done + at);
      }
      done += read;
      onChunk?.(read);
    }
    copied += length;
  }
  return copied;
}

const ended = (message: string): Error =>
  Object.assign(new Error(message), { code: fileEndedCode });
