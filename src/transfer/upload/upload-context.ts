import { OcibundleError } from "../../errors.ts";
import type { BlobSource } from "../../oci/content.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import type { Repository } from "../../registry/types.ts";
import type { RetryCounter, RetryCounterOptions } from "../../retry/retry-counter.ts";
import type { RegistryTraits } from "./registry-traits.ts";
import type { StuckSession } from "./stuck-session.ts";
import type { UploadCursor } from "./upload-cursor.ts";

/** What an upload reports, and what it learns about the registry. */
export interface UploadRunOptions extends RetryCounterOptions {
  signal: AbortSignal;
  /** Further bytes that were sent; negative when some must be sent again. `resumed`: an earlier run sent them. */
  onBytes?: ((bytes: number, resumed?: boolean) => void) | undefined;
  /** What this registry has shown before; learned from. */
  traits?: RegistryTraits | undefined;
  /** Awaited each time that `traits` may have changed. */
  onLearned?: (() => Promise<void>) | undefined;
}

/** What is uploaded. */
export interface UploadedBlob {
  /** In bytes. */
  readonly size: number;
  /** Found out at the end where it is not known before. */
  readonly digest: Digest | ((signal: AbortSignal) => Promise<Digest>);
  /** What it is called in errors; its digest unless given. */
  readonly label?: string | undefined;
}

/** The digest of a blob that may still be computed while it is sent. */
export const uploadedDigest = async (
  { digest }: UploadedBlob,
  signal: AbortSignal,
): Promise<Digest> => (typeof digest === "string" ? digest : await digest(signal));

/** One blob that is uploaded: what is kept from one request to the next. */
export interface UploadContext {
  readonly repository: Repository;
  readonly descriptor: UploadedBlob;
  readonly source: BlobSource;
  readonly options: UploadRunOptions;
  readonly traits: RegistryTraits;
  readonly cursor: UploadCursor;
  readonly counter: RetryCounter;
  readonly stuck: StuckSession;
  /** Size of the next chunk, in bytes. */
  chunk: number;
  /** How often in a row this session's chunk was answered with 416, or a session was lost. */
  repeated: number;
  /**
   * Whether a PUT was refused for its bytes and sent once more: when a kept connection breaks, fetch may
   * send a request again on its own, behind what the session has of it already.
   */
  sentTwice: boolean;
  /** Why the source failed during the last request, if it did. */
  sourceFailure: unknown;
}

/** The registry does not take an upload in this way; the cause is the error for the user. */
export class MethodRefused extends Error {}

/** Says something of an upload to those who asked for details (`--verbose`). */
export const detail = ({ options }: UploadContext, message: string): void =>
  options.emit?.({ type: "detail", message });

const shownBlob = ({ label, digest }: UploadedBlob): string =>
  typeof digest === "string" ? shortDigest(digest) : (label ?? "a blob");

/** The `network` error of an upload that ends, with the repository as its subject. */
export const uploadFailure = (
  { repository, descriptor }: UploadContext,
  message: string,
): OcibundleError =>
  new OcibundleError("network", message, {
    subject: [repository.fullName, `upload of ${shownBlob(descriptor)}`],
  });
