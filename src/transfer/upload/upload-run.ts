import type { BlobSource } from "../../oci/content.ts";
import type { Repository } from "../../registry/types.ts";
import { retryCounter } from "../../retry/retry-counter.ts";
import { firstChunk } from "./chunk-size.ts";
import { methodNames, methodWorked, type UploadMethod, uploadMethods } from "./upload-method.ts";
import { unknownTraits } from "./registry-traits.ts";
import { stuckSession } from "./stuck-session.ts";
import {
  detail,
  MethodRefused,
  type UploadContext,
  type UploadedBlob,
  type UploadRunOptions,
} from "./upload-context.ts";
import { uploadCursor } from "./upload-cursor.ts";
import type { UploadNotes } from "./upload-journal.ts";
import { recover } from "./upload-recovery.ts";
import { sendNext } from "./upload-send.ts";
import { newSession, type OpenedSession } from "./upload-session.ts";

/** An upload that is about to be sent: `opened` is its session. */
export interface UploadRequest {
  repository: Repository;
  descriptor: UploadedBlob;
  source: BlobSource;
  opened: OpenedSession;
  notes: UploadNotes | undefined;
}

/**
 * Sends a blob with the first method that the registry accepts. Throws the last failure; MethodRefused where a blob
 * whose digest is not known yet can't be sent.
 */
export async function runUpload(request: UploadRequest, options: UploadRunOptions): Promise<void> {
  const context = contextOf(request, options);
  const { descriptor, traits } = context;
  const isNamed = typeof descriptor.digest === "string";
  // The request that ends a session names the digest, and would have to begin before it is known.
  const methods = uploadMethods(descriptor.size, traits).filter(
    (method) => isNamed || (method !== "put" && !traits.refused.has(method)),
  );
  for (const [index, method] of methods.entries()) {
    try {
      await sendAll(context, method);
      methodWorked(method, descriptor.size, traits);
      await options.onLearned?.();
      return;
    } catch (error) {
      if (!(error instanceof MethodRefused)) throw error;
      if (index === methods.length - 1 && isNamed) throw error.cause;
      await leaveMethod(context, method, error.message);
      if (index === methods.length - 1) throw error;
    }
  }
}

function contextOf(
  { repository, descriptor, source, opened, notes }: UploadRequest,
  options: UploadRunOptions,
): UploadContext {
  const traits = options.traits ?? unknownTraits();
  const counter = retryCounter({ ...options, contact: traits.contact });
  const onProgress = (): void => {
    counter.reset();
    context.repeated = 0;
  };
  const context: UploadContext = {
    repository,
    descriptor,
    source,
    options,
    traits,
    cursor: uploadCursor({ notes, onBytes: options.onBytes, onProgress }),
    counter,
    stuck: stuckSession(),
    chunk: firstChunk(traits, opened.minimumChunk),
    repeated: 0,
    sentTwice: false,
    sourceFailure: undefined,
  };
  context.cursor.use(opened);
  return context;
}

/** Sends all that is missing with one method. Throws MethodRefused when the registry does not accept it. */
async function sendAll(context: UploadContext, method: UploadMethod): Promise<void> {
  const { cursor, repository, options } = context;
  for (;;) {
    try {
      if (cursor.session === undefined) {
        cursor.use(await newSession(repository, options.signal));
      } else if (await sendNext[method](context, cursor.session)) return;
    } catch (error) {
      if (await recover(context, method, error)) return;
    }
  }
}

/** Prepares for the next method: it continues from what the registry has, if the registry says so. */
async function leaveMethod(
  context: UploadContext,
  method: UploadMethod,
  reason: string,
): Promise<void> {
  const { cursor, repository, traits, options } = context;
  const { signal, onLearned } = options;
  traits.refused.set(method, reason);
  detail(context, `${repository.registry.host} does not accept ${methodNames[method]}: ${reason}`);
  await onLearned?.();
  const { session, position } = cursor;
  const has = position > 0 ? await session?.offset(signal).catch(() => undefined) : undefined;
  signal.throwIfAborted();
  if (has === position) {
    // If the refused request left bytes there, the digest will differ, and all is sent again.
    cursor.resumed = true;
  } else {
    void session?.cancel();
    cursor.drop();
  }
  context.counter.reset();
  context.repeated = 0;
}
