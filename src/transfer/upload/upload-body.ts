import { OcibundleError } from "../../errors.ts";
import { type ByteSource, passing } from "../../flow/passing.ts";
import type { BlobSource, ByteRange } from "../../oci/content.ts";
import type { UploadBody } from "../../registry/types.ts";
import { MiB } from "../units.ts";
import { runtime } from "../../runtime/current.ts";
import { filePieces } from "../../store/file-pieces.ts";

/** How the body of one request is sent and watched. */
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

/**
 * Larger bodies are seldom many at once, in bytes: the runtime reads them in large pieces, which takes less time and
 * more memory.
 */
const fewAtOnce = 16 * MiB;

/** The bytes of `range` of a blob as the body of a request, made anew for each try. */
export function uploadBody(source: BlobSource, range: ByteRange, options: BodyOptions): UploadBody {
  const { signal, until, onPosition, onSourceError } = options;
  const size = range.end - range.start;
  const seen = (from: ReadableStream<Uint8Array> | ByteSource) => exactly(from, range, options);
  return {
    size,
    async make() {
      onPosition?.(range.start);
      switch (source.kind) {
        case "bytes":
          return source.bytes.slice(range.start, range.end);
        case "file": {
          const start = source.offset + range.start;
          const end = start + size;
          if (onPosition === undefined || !runtime.sendsStreamLength) {
            return runtime.fileBody(source.path, start, end);
          }
          return seen(
            size > fewAtOnce
              ? (await runtime.fileBody(source.path, start, end)).stream()
              : filePieces(source.path, [{ start, end }], signal),
          );
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

/** So many bytes are told at once: often enough for a bar that moves. */
const toldAtOnce = 256 * 1024;

/** The same bytes, counted. The stream fails when it is not as long as `range`. */
function exactly(
  from: ReadableStream<Uint8Array> | ByteSource,
  { start, end }: ByteRange,
  { onPosition, onSourceError }: BodyOptions,
): ReadableStream<Uint8Array> {
  let position = start;
  let told = start;
  const wrongLength = (words: string): OcibundleError =>
    new OcibundleError("integrity", `the source ${words} ${end - start} bytes`);
  return passing(from, {
    onChunk({ length }) {
      if (position + length > end) throw wrongLength("returned more than the requested");
      position += length;
      if (position - told < toldAtOnce && position < end) return;
      told = position;
      onPosition?.(position);
    },
    onEnd() {
      if (position < end) throw wrongLength(`ended after ${position - start} of`);
    },
    onError: onSourceError,
  });
}
