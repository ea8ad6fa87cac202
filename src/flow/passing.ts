/** Where bytes come from: a stream's reader, or what behaves like one. */
export interface ByteSource {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  /** Ends it before its end. */
  cancel(reason?: unknown): Promise<void>;
}

/** The chunks of a generator. */
export const chunkSource = (chunks: AsyncGenerator<Uint8Array, void, undefined>): ByteSource => ({
  async read() {
    const { done = false, value } = await chunks.next();
    return { done, value: value ?? undefined };
  },
  async cancel() {
    await chunks.return(undefined);
  },
});

/** Callbacks on a stream that is passed on; what one of them throws makes the stream fail. */
export interface PassingOptions {
  /** Whether enough has been passed on: the source is cancelled then, and the stream ends. */
  isEnough?: () => boolean;
  /** Called before each read. */
  onRead?: () => void;
  /** Called with each chunk. Returns what is passed on in its place; nothing for the chunk itself. */
  onChunk?: (chunk: Uint8Array) => Uint8Array | undefined | void;
  /** Called when the source ends. */
  onEnd?: () => void;
  /** Called with the source's failure, or with what another callback throws. */
  onError?: ((error: unknown) => void) | undefined;
}

/**
 * The same bytes, looked at as they pass. A callback that throws makes the stream fail. Nothing is read
 * ahead. A failure and a cancelled reader cancel the source.
 */
export function passing(
  from: ReadableStream<Uint8Array> | ByteSource,
  { isEnough, onRead, onChunk, onEnd, onError }: PassingOptions = {},
): ReadableStream<Uint8Array> {
  const source: ByteSource = from instanceof ReadableStream ? from.getReader() : from;
  let cancelled = false;
  const letGo = (reason?: unknown): Promise<void> => source.cancel(reason).catch(() => undefined);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          for (;;) {
            if (isEnough?.() === true) {
              controller.close();
              await letGo();
              return;
            }
            onRead?.();
            const { done, value } = await source.read();
            if (cancelled) return;
            if (done || value === undefined) {
              onEnd?.();
              controller.close();
              return;
            }
            const chunk = onChunk?.(value) ?? value;
            if (chunk.byteLength === 0) continue;
            controller.enqueue(chunk);
            return;
          }
        } catch (error) {
          if (cancelled) return;
          onError?.(error);
          controller.error(error);
          void letGo(error);
        }
      },
      async cancel(reason) {
        cancelled = true;
        await letGo(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/**
 * `length` bytes of a stream from `start` on; the rest is not read. Where the stream ends before, so does
 * the slice, or `onShort` makes the error from the number of bytes that came.
 */
export function slice(
  from: ReadableStream<Uint8Array>,
  start: number,
  length: number,
  onShort?: (bytes: number) => Error,
): ReadableStream<Uint8Array> {
  const end = start + length;
  let at = 0;
  return passing(from, {
    isEnough: () => at >= end,
    onChunk(chunk) {
      const part = chunk.subarray(Math.max(0, start - at), Math.max(0, end - at));
      at += chunk.byteLength;
      return part;
    },
    onEnd() {
      if (onShort !== undefined && at < end) throw onShort(at);
    },
  });
}
