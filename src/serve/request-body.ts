import { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";

/** The largest body of a POST, in bytes: paths of a model's files. */
const maxPostBytes = 1024 * 1024;

/** A body of a request that is not read to its end: the connection is of no more use. */
export class UnreadBody extends Error {
  readonly status: 400 | 408 | 413;

  constructor(status: 400 | 408 | 413, message: string) {
    super(message);
    this.status = status;
  }
}

/** The text of a request's body. Throws `UnreadBody` where the body is not there after `patience` milliseconds, is too large, or breaks off. */
export async function readBody(message: IncomingMessage, patience: number): Promise<string> {
  const tooLarge = () => new UnreadBody(413, `the body has more than ${maxPostBytes} bytes`);
  if (Number(message.headers["content-length"] ?? 0) > maxPostBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new UnreadBody(408, `the body did not arrive within ${patience / 1000} s`)),
    patience,
  );
  const read = async (): Promise<void> => {
    for await (const chunk of message as AsyncIterable<Uint8Array>) {
      size += chunk.byteLength;
      if (size > maxPostBytes) throw tooLarge();
      chunks.push(chunk);
    }
  };
  try {
    await Promise.race([read(), late.promise]);
  } catch (error) {
    if (error instanceof UnreadBody) throw error;
    throw new UnreadBody(400, "the client disconnected before the end of the body");
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks).toString("utf8");
}
