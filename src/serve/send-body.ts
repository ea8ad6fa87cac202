import type { ServerResponse } from "node:http";

/** The client took nothing for too long. */
export class StalledClient extends Error {
  override readonly name = "StalledClient";
}

/**
 * Writes a body as fast as the client takes it; a chunk is done with when the next one is asked for. Returns false
 * where the client went away; throws what `chunks` throws, and {@link StalledClient} where nothing was taken for
 * `patience` milliseconds.
 */
export async function sendBody(
  response: ServerResponse,
  chunks: AsyncIterable<Uint8Array>,
  { gone, patience, onSent }: { gone: AbortSignal; patience: number; onSent(bytes: number): void },
): Promise<boolean> {
  for await (const chunk of chunks) {
    if (gone.aborted) return false;
    onSent(chunk.byteLength);
    await written(response, chunk, gone, patience);
  }
  return !gone.aborted;
}

/** Until the system has the chunk, or nobody is there any more. */
function written(
  response: ServerResponse,
  chunk: Uint8Array,
  gone: AbortSignal,
  patience: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      clearTimeout(timer);
      gone.removeEventListener("abort", end);
    };
    const end = (): void => {
      leave();
      resolve();
    };
    const timer = setTimeout(() => {
      leave();
      reject(new StalledClient(`the client read nothing for ${patience / 1000} s`));
    }, patience);
    gone.addEventListener("abort", end, { once: true });
    // Not `drain`: the memory of a chunk is used again for the next one.
    response.write(chunk, end);
  });
}
