import { isTransient } from "../../retry/transient.ts";
import { MiB } from "../units.ts";

/**
 * How the bytes of a blob get into an upload session (distribution-spec v1.1, "Pushing blobs"):
 * `put` with the request that ends the session, `chunks` in several PATCHes with Content-Range, `patch`
 * in one PATCH without Content-Range, as Docker does.
 */
export type UploadMethod = "put" | "chunks" | "patch";

/** What is sent with each method, for messages. */
export const methodNames: Readonly<Record<UploadMethod, string>> = {
  put: "a blob in one PUT",
  chunks: "a blob in chunks",
  patch: "a blob in one PATCH",
};

/** Blobs up to this size, in bytes, go with one PUT. */
export const smallBlob = 4 * MiB;

/**
 * So do larger ones, up to the size of a first chunk in bytes, that are sent in less time than this, in milliseconds:
 * what a broken connection costs is little then, and each of many parts is a request less.
 */
const quickBlob = { bytes: 16 * MiB, milliseconds: 1000 };

/** What a registry has shown that decides how blobs are sent to it. */
export interface UploadTraits {
  /** The methods that it refused, with the reason. */
  refused: Map<UploadMethod, string>;
  /** Bytes per millisecond of the last body that was sent; 0 before the first. */
  rate: number;
}

/** Whether a blob of `size` bytes is sent with one PUT where the registry takes that. */
export const isForPut = (size: number, { rate }: UploadTraits): boolean =>
  size <= smallBlob || (size <= quickBlob.bytes && size < rate * quickBlob.milliseconds);

/**
 * The methods to try for a blob of `size` bytes, best first. What the registry refused before is tried
 * last: the refusal may have been about one blob.
 */
export function uploadMethods(size: number, traits: UploadTraits): UploadMethod[] {
  const { refused } = traits;
  const methods: UploadMethod[] = isForPut(size, traits)
    ? ["put", "patch", "chunks"]
    : ["chunks", "patch", "put"];
  return [
    ...methods.filter((method) => !refused.has(method)),
    ...methods.filter((method) => refused.has(method)),
  ];
}

/**
 * Forgets that a method was refused, after a blob of `size` bytes arrived with it. A small blob proves
 * that for PUT only: the refusals of the others are about large bodies and chunks.
 */
export function methodWorked(method: UploadMethod, size: number, { refused }: UploadTraits): void {
  if (size > smallBlob || method === "put") refused.delete(method);
}

/** What to do about a failed request of an upload. */
export type AfterFailure =
  /** Fail. */
  | "throw"
  /** The registry does not take this method. */
  | "next method"
  /** Send a smaller chunk. */
  | "smaller"
  /** Ask the session for its position and continue from there, without waiting. */
  | "ask"
  /** The session is gone: open another one. */
  | "restart"
  /** Wait, ask the session, continue. */
  | "wait";

/** The failure of one request: the registry's status, or undefined when no answer came. */
export interface UploadFailure {
  method: UploadMethod;
  status: number | undefined;
  /** How often in a row this session's chunk was answered with 416, or a session was lost. */
  repeated: number;
}

/** What a registry answers to a method that it does not know. */
const methodRefused: ReadonlySet<number> = new Set([201, 400, 405, 411, 415, 422, 501]);

/**
 * Classifies a failure: a method that the registry refuses, a transient failure, a body that is too large
 * (413), a chunk that does not follow the one before (416), a session that is gone (404).
 */
export function afterFailure({ method, status, repeated }: UploadFailure): AfterFailure {
  if (status !== undefined && methodRefused.has(status)) return "next method";
  if (isTransient(status, "upload")) return "wait";
  if (status === 413) return method === "chunks" ? "smaller" : "next method";
  if (status === 416) return method === "put" || repeated > 0 ? "next method" : "ask";
  if (status === 404) return repeated > 1 ? "next method" : "restart";
  return "throw";
}
