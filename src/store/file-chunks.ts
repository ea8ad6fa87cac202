import { Buffer } from "node:buffer";
import { type FileHandle } from "node:fs/promises";
import { openRegular } from "../runtime/regular-file.ts";

/** Bytes read at once: larger reads gain nothing measurable, smaller ones cost calls. */
const chunkSize = 1024 * 1024;

/**
 * The bytes of a file from `start` up to `end`, read ahead by one chunk.
 *
 * A chunk is valid until the next one is asked for: two buffers take turns. Ends early when the file
 * does; rejects with the file system's error or the signal's reason. An open file is left open.
 */
export async function* fileChunks(
  from: string | FileHandle,
  start: number,
  end: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const length = Math.min(chunkSize, Math.max(end - start, 1));
  const buffers = [Buffer.allocUnsafe(length), Buffer.allocUnsafe(length)] as const;
  const file = typeof from === "string" ? await openRegular(from) : from;
  let pending: Promise<Uint8Array> | undefined;
  try {
    const read = async (buffer: Uint8Array, position: number): Promise<Uint8Array> => {
      const wanted = Math.min(length, end - position);
      if (wanted <= 0) return buffer.subarray(0, 0);
      const { bytesRead } = await file.read(buffer, 0, wanted, position);
      return buffer.subarray(0, bytesRead);
    };
    let position = start;
    let turn: 0 | 1 = 0;
    pending = read(buffers[turn], position);
    for (;;) {
      const chunk = await pending;
      pending = undefined;
      signal.throwIfAborted();
      if (chunk.byteLength === 0) return;
      position += chunk.byteLength;
      turn = turn === 0 ? 1 : 0;
      pending = read(buffers[turn], position);
      yield chunk;
    }
  } finally {
    // The file must stay open until a read that nobody waits for any more has ended.
    await pending?.catch(() => undefined);
    if (typeof from === "string") await file.close();
  }
}
