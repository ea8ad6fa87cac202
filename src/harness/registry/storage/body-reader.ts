/** Takes a chunk of a body: at once, or when the promise resolves. */
export type TakeChunk = (chunk: Uint8Array) => Promise<void> | undefined;

/** Gives all of a body to `take`, chunk by chunk. Rejects where the body breaks off, and with what `take` throws. */
export type BodyReader = (take: TakeChunk) => Promise<void>;

/** The reader of a body that is iterated. */
export const iterated =
  (body: AsyncIterable<Uint8Array>): BodyReader =>
  async (take) => {
    for await (const chunk of body) {
      const taken = take(chunk);
      if (taken !== undefined) await taken;
    }
  };

const direct = new WeakMap<Request, BodyReader>();

/** Says how the body of a request is read without its stream, which costs several times as much. */
export function readDirectly(request: Request, reader: BodyReader): Request {
  direct.set(request, reader);
  return request;
}

/**
 * How the body of a request is read: as it comes from the connection, or as the stream that a layer made of it.
 * Undefined where it has none.
 */
export function bodyReader(request: Request): BodyReader | undefined {
  return direct.get(request) ?? (request.body === null ? undefined : iterated(request.body));
}
