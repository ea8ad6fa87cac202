import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import type { ByteRange } from "../../../oci/content.ts";
import { runtime } from "../../../runtime/current.ts";

const smallBytes = 1024 * 1024;

/** A response's body out of a file: never whole in memory, and sent by the kernel where that can be done. */
export async function blobBody(path: string, { start, end }: ByteRange): Promise<BodyInit | null> {
  if (start === end) return null;
  if (runtime.streamsFileBodies || end - start <= smallBytes) {
    return await runtime.fileBody(path, start, end);
  }
  const stream = createReadStream(path, { start, end: end - 1, highWaterMark: smallBytes });
  return Readable.toWeb(stream) as unknown as ReadableStream<Uint8Array>;
}
