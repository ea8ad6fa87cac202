import { type ErrorCode, OcibundleError } from "../../errors.ts";
import { outageReason } from "../../registry/outage.ts";
import { refusalOf } from "../../registry/refusal.ts";
import { isTransient } from "../../retry/transient.ts";
import { checkSource } from "../check-source.ts";
import { chunkSizes, smallerChunk } from "./chunk-size.ts";
import { detail, MethodRefused, type UploadContext, uploadedDigest } from "./upload-context.ts";
import { afterFailure, type UploadMethod } from "./upload-method.ts";

/**
 * Decides what a failed request means and prepares the next one. Resolves to true when the registry has
 * the blob after all. Throws MethodRefused when another method must be tried, or the final error.
 */
export async function recover(
  context: UploadContext,
  method: UploadMethod,
  failure: unknown,
): Promise<boolean> {
  const { cursor, descriptor, options, source } = context;
  options.signal.throwIfAborted();
  if (failure instanceof MethodRefused) throw failure;
  // Checked first: a file that changed explains every other failure.
  await checkSource(source);
  const error = context.sourceFailure ?? failure;
  if (!(error instanceof OcibundleError)) throw error;
  // A source that is gone does not come back.
  if (error === context.sourceFailure && error.code === "not_found") throw error;
  const refusal = refusalOf(error);
  const status = refusal?.status;
  const finishing = method === "put" || cursor.position === descriptor.size;
  if (isFinal(error.code, status, finishing)) {
    sendAnew(context, method, error, status);
    return false;
  }
  const refused = () => new MethodRefused(refusal?.message ?? error.message, { cause: error });
  switch (afterFailure({ method, status, repeated: context.repeated })) {
    case "throw":
      throw error;
    case "next method":
      throw refused();
    case "smaller": {
      // The end of a blob may be less than a chunk: half of that is what was not refused yet.
      const sent = Math.min(context.chunk, descriptor.size - cursor.position);
      const smaller = smallerChunk(sent, cursor.minimumChunk, chunkSizes.least);
      if (smaller === undefined) throw refused();
      detail(context, `chunks of ${sent} bytes are too large: ${error.message}`);
      context.chunk = smaller;
      context.traits.largestChunk = smaller;
      await options.onLearned?.();
      await cursor.sync(descriptor.size, options.signal);
      return false;
    }
    case "ask": {
      const { position } = cursor;
      await cursor.sync(descriptor.size, options.signal);
      // The chunk began where the registry is: its place is not what is wrong.
      if (cursor.session !== undefined && cursor.position === position) throw refused();
      context.repeated += 1;
      return false;
    }
    case "restart":
      context.repeated += 1;
      await pause(context, error);
      cursor.drop();
      return false;
    case "wait":
      return wait(context, method, error, status);
  }
}

/**
 * After a final failure: starts the upload again where the wrong bytes may be somebody else's. Throws
 * `error` where they are not.
 */
function sendAnew(
  context: UploadContext,
  method: UploadMethod,
  error: OcibundleError,
  status: number | undefined,
): void {
  const { cursor } = context;
  const broken = method === "put" && status !== undefined && !context.sentTwice;
  if (error.code !== "integrity" || !(cursor.resumed || broken)) throw error;
  const sender = cursor.resumed ? "an earlier run" : "a broken request";
  detail(context, `the content sent by ${sender} does not match the blob: ${error.message}`);
  if (!cursor.resumed) context.sentTwice = true;
  cursor.drop();
}

/** Waits, and finds out where the registry is. */
async function wait(
  context: UploadContext,
  method: UploadMethod,
  error: OcibundleError,
  status: number | undefined,
): Promise<boolean> {
  const { cursor, traits } = context;
  // The next body is watched while it is sent: what was fast may be slow now.
  traits.rate = 0;
  await pause(context, error);
  if (method === "chunks") {
    context.chunk = smallerChunk(context.chunk, cursor.minimumChunk) ?? context.chunk;
  }
  // A registry that is away says nothing of the session.
  const isAway = status === undefined && outageReason(error) !== undefined;
  const isStuck =
    method !== "put" &&
    !isAway &&
    context.sourceFailure === undefined &&
    context.stuck.failed(cursor.position, status);
  if (!isStuck) return askAfterSilence(context, method, error);
  detail(context, `the upload makes no progress at byte ${cursor.position}; restarting it`);
  void cursor.session?.cancel();
  cursor.drop();
  return false;
}

/** After a request without an answer: the registry may have done the work all the same. */
async function askAfterSilence(
  context: UploadContext,
  method: UploadMethod,
  error: OcibundleError,
): Promise<boolean> {
  const { cursor, descriptor, options, repository } = context;
  const { size } = descriptor;
  const { signal } = options;
  try {
    const finishing = method === "put" || cursor.position === size;
    if (finishing) {
      const digest = await uploadedDigest(descriptor, signal);
      if ((await repository.headBlob(digest, signal, size)) === size) {
        cursor.moveTo(size);
        return true;
      }
    }
    if (method === "put") cursor.drop();
    else await cursor.sync(size, signal);
  } catch (asking) {
    signal.throwIfAborted();
    detail(context, `after "${error.message}": ${messageOf(asking)}`);
    // Distribution ends a session whose last request broke, and says so to the next one.
    if (isTransient(refusalOf(asking)?.status, "upload")) cursor.tell(cursor.position);
    else cursor.drop();
  }
  return false;
}

async function pause({ counter, options }: UploadContext, error: OcibundleError): Promise<void> {
  counter.count();
  await counter.wait(error, options.signal, outageReason(error));
}

/** A complete blob that was refused is wrong; a part of one may only have been sent in the wrong way. */
const isFinal = (code: ErrorCode, status: number | undefined, finishing: boolean): boolean =>
  code === "denied" || (code === "integrity" && (finishing || status === undefined));

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
