import { type FileHandle, open } from "node:fs/promises";
import type { ByteRange } from "../../../oci/content.ts";

/** What is read at once, in bytes: of each download at most this much waits in memory. */
const pieceBytes = 512 * 1024;

/**
 * A response's body out of a file, read as it is sent: never whole in memory. The file is open from the
 * first read to the end or the cancellation, so a body that nobody reads needs neither.
 */
export function blobBody(
  path: string,
  { start, end }: ByteRange,
): ReadableStream<Uint8Array<ArrayBuffer>> | null {
  if (start === end) return null;
  let file: FileHandle | undefined;
  let at = start;
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          file ??= await open(path);
          const piece = await readPiece(file, at, end);
          controller.enqueue(piece);
          at += piece.length;
          if (at < end) return;
          await file.close();
          controller.close();
        } catch (error) {
          await file?.close();
          throw error;
        }
      },
      cancel: () => file?.close(),
    },
    { highWaterMark: 0 },
  );
}

/** Throws where the file ends before `end`: an answer that is too short has to break off. */
async function readPiece(
  file: FileHandle,
  at: number,
  end: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const piece = new Uint8Array(Math.min(pieceBytes, end - at));
  const { bytesRead } = await file.read(piece, 0, piece.length, at);
  if (bytesRead === 0) throw new Error("the file was truncated");
  return bytesRead === piece.length ? piece : piece.subarray(0, bytesRead);
}
