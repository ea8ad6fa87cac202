import { OcibundleError } from "../../errors.ts";
import { passing } from "../../flow/passing.ts";
import type { BlobSource, ByteRange } from "../../oci/content.ts";
import type { UploadBody } from "../../registry/types.ts";
import { runtime } from "../../runtime/current.ts";

export interface BodyOptions {
  signal: AbortSignal;
  /** Up to where the requests that follow send the blob; to the range's end unless given. */
  until?: number | undefined;
  /**
   * Called with the position in the blob that has gone out, in bytes, while the body is sent; also with
   * the range's start when the body is made again. Without it a file's bytes go out unseen by JavaScript.
   */
  onPosition?: ((position: number) => void) | undefined;
  /** Called when the source itself fails: the request's own error seldom says so. */
  onSourceError?: ((error: unknown) => void) | undefined;
}

/** The bytes of `range` of a blob as the body of a request, made anew for each try. */
export function uploadBody(source: BlobSource, range: ByteRange, options: BodyOptions): UploadBody {
  const { signal, until, onPosition, onSourceError } = options;
  const size = range.end - range.start;
  const seen = (stream: ReadableStream<Uint8Array>) => exactly(stream, range, options);
  return {
    size,
    async make() {
      onPosition?.(range.start);
      switch (source.kind) {
        case "bytes":
          return source.bytes.slice(range.start, range.end);
        case "file": {
          const start = source.offset + range.start;
          const body = await runtime.fileBody(source.path, start, start + size);
          return onPosition && runtime.sendsStreamLength ? seen(body.stream()) : body;
        }
        case "stream":
          try {
            return seen(await source.open(range, signal, until));
          } catch (error) {
            onSourceError?.(error);
            throw error;
          }
      }
    },
  };
}

/** The same stream, counted. It fails when it is not as long as `range`. */
function exactly(
  stream: ReadableStream<Uint8Array>,
  { start, end }: ByteRange,
  { onPosition, onSourceError }: BodyOptions,
): ReadableStream<Uint8Array> {
  let position = start;
  const wrongLength = (words: string): OcibundleError =>
    new OcibundleError("integrity", `the source ${words} of ${end - start} bytes`);
  return passing(stream, {
    onChunk({ length }) {
      if (position + length > end) throw wrongLength("gave more than its share");
      position += length;
      onPosition?.(position);
    },
    onEnd() {
      if (position < end) throw wrongLength(`ended after ${position - start}`);
    },
    onError: onSourceError,
  });
}
