import type { ServerResponse } from "node:http";

/** The client took nothing for too long. */
export class StalledClient extends Error {
  override readonly name = "StalledClient";
}

/**
 * Writes a body as fast as the client takes it. Returns false where the client went away; throws what `chunks`
 * throws, and {@link StalledClient} where nothing was taken for `patience` milliseconds.
 */
export async function sendBody(
  response: ServerResponse,
  chunks: AsyncIterable<Uint8Array>,
  { gone, patience, onSent }: { gone: AbortSignal; patience: number; onSent(bytes: number): void },
): Promise<boolean> {
  for await (const chunk of chunks) {
    if (gone.aborted) return false;
    onSent(chunk.byteLength);
    if (!response.write(chunk)) await drained(response, gone, patience);
  }
  return !gone.aborted;
}

/** Until there is room again, or nobody there any more. */
function drained(response: ServerResponse, gone: AbortSignal, patience: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      clearTimeout(timer);
      response.off("drain", end);
      gone.removeEventListener("abort", end);
    };
    const end = (): void => {
      leave();
      resolve();
    };
    const timer = setTimeout(() => {
      leave();
      reject(new StalledClient(`the client took nothing for ${patience / 1000} s`));
    }, patience);
    if (gone.aborted) return end();
    response.once("drain", end);
    gone.addEventListener("abort", end, { once: true });
  });
}
