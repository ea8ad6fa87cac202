import type { UploadBody, UploadSession } from "../../registry/types.ts";
import { isSlow, nextChunk } from "./chunk-size.ts";
import { noteRate } from "./first-rate.ts";
import {
  detail,
  MethodRefused,
  type UploadContext,
  uploadedDigest,
  uploadFailure,
} from "./upload-context.ts";
import { uploadBody } from "./upload-body.ts";
import type { UploadMethod } from "./upload-method.ts";

/** Sends the next request of an upload. Resolves to true when the registry has the blob. */
type SendNext = (context: UploadContext, session: UploadSession) => Promise<boolean>;

/** How each method sends the rest of a blob, one request at a time. */
export const sendNext: Readonly<Record<UploadMethod, SendNext>> = {
  put: finish,
  chunks: unlessComplete(sendChunk),
  patch: unlessComplete(sendRest),
};

/** Ends the session; with the rest of the blob where the registry lacks some. */
async function finish(context: UploadContext, session: UploadSession): Promise<boolean> {
  const { cursor, descriptor, options } = context;
  const { size } = descriptor;
  const digest = await uploadedDigest(descriptor, options.signal);
  const rest = size - cursor.position;
  const body = rest === 0 ? undefined : bodyUntil(context, size);
  await timed(context, rest, () => session.finish(digest, body, options.signal));
  cursor.moveTo(size);
  return true;
}

function unlessComplete(
  send: (context: UploadContext, session: UploadSession) => Promise<void>,
): SendNext {
  return async (context, session) => {
    if (context.cursor.position === context.descriptor.size) return finish(context, session);
    await send(context, session);
    return false;
  };
}

async function sendChunk(context: UploadContext, session: UploadSession): Promise<void> {
  const { cursor, descriptor, options, traits } = context;
  const { position: start, minimumChunk } = cursor;
  // Another session than the one that the chunk was chosen for may require larger ones.
  const chunk = Math.max(context.chunk, minimumChunk ?? 0);
  const end = Math.min(descriptor.size, start + chunk);
  const body = bodyUntil(context, end);
  const milliseconds = await timed(context, end - start, async () => {
    const has = await session.patchChunk(start, body, options.signal);
    await accept(context, session, { start, end, has }, "chunks");
  });
  if (end < descriptor.size) {
    context.chunk = nextChunk(end - start, milliseconds, traits, minimumChunk);
  }
}

async function sendRest(context: UploadContext, session: UploadSession): Promise<void> {
  const { cursor, descriptor, options } = context;
  const { position: start } = cursor;
  const end = descriptor.size;
  const body = bodyUntil(context, end);
  await timed(context, end - start, async () => {
    const has = await session.patchAll(body, options.signal);
    await accept(context, session, { start, end, has }, "patch");
  });
}

/** Moves to where the registry says it is, asking again when that is not where the request ended. */
async function accept(
  context: UploadContext,
  session: UploadSession,
  { start, end, has }: { start: number; end: number; has: number },
  method: UploadMethod,
): Promise<void> {
  const { cursor, options } = context;
  if (has === end) return cursor.moveTo(end);
  const asked = await session.offset(options.signal);
  if (asked === undefined) {
    cursor.drop();
    throw new MethodRefused("the registry lost the upload after it accepted a part", {
      cause: uploadFailure(context, "the registry lost the upload"),
    });
  }
  if (asked !== end && (asked <= start || asked > end)) {
    const message = `${end} bytes were sent, but the registry has ${asked}`;
    void session.cancel();
    cursor.drop();
    throw new MethodRefused(message, { cause: uploadFailure(context, message) });
  }
  detail(context, `${method} of bytes ${start}-${end - 1}: the registry has ${asked}`);
  cursor.moveTo(asked);
}

/** The blob's bytes from the cursor up to `end`. */
function bodyUntil(context: UploadContext, end: number): UploadBody {
  const { cursor, descriptor, source, traits, options } = context;
  const start = cursor.position;
  context.sourceFailure = undefined;
  const slow = source.kind !== "file" || isSlow(end - start, traits.rate);
  return uploadBody(
    source,
    { start, end },
    {
      signal: options.signal,
      until: descriptor.size,
      onPosition: slow ? (position) => cursor.tell(position) : undefined,
      onSourceError(error) {
        context.sourceFailure = error;
      },
    },
  );
}

/** Sends `bytes` bytes, remembers the rate and resolves to the milliseconds it took. */
async function timed(
  { traits }: UploadContext,
  bytes: number,
  send: () => Promise<void>,
): Promise<number> {
  const start = performance.now();
  await send();
  const milliseconds = Math.max(1, performance.now() - start);
  noteRate(traits, bytes, milliseconds);
  return milliseconds;
}
