import type { RegistryLimits } from "../../registry/limits.ts";
import { isTransient } from "../../retry/transient.ts";
import { MiB } from "../units.ts";

/**
 * How the bytes of a blob get into an upload session (distribution-spec v1.1, "Pushing blobs"):
 * `put` with the request that ends it, `chunks` in several PATCHes with Content-Range, `patch` in one
 * PATCH without it, as Docker does.
 */
export type UploadWay = "put" | "chunks" | "patch";

/** What is sent in each way, for messages. */
export const wayNames: Readonly<Record<UploadWay, string>> = {
  put: "a blob in one PUT",
  chunks: "a blob in chunks",
  patch: "a blob in one PATCH",
};

/** Blobs up to this size go with one PUT. */
export const smallBlob = 4 * MiB;

/** Chunk sizes in bytes. A body that a proxy caps (100 MB is common) is found out on the way up. */
export const chunkSizes = { first: 16 * MiB, largest: 256 * MiB, smallest: 5 * MiB } as const;

/** A body that takes longer than this is counted while it goes out, so that progress moves. */
const silentAtMost = 700;

/** What one registry has shown. */
export interface SeenOfRegistry {
  /** Ways that it refused, with the reason. */
  refused: Map<UploadWay, string>;
  /** Chunks larger than this, in bytes, were refused. */
  largestChunk: number;
  /** Bytes per millisecond of the last body that went through; 0 before the first. */
  rate: number;
}

export const nothingSeen = (): SeenOfRegistry => ({
  refused: new Map(),
  largestChunk: chunkSizes.largest,
  rate: 0,
});

/** What is known of a hosted registry before the first request to it. */
export function seenAtFirst(limits: RegistryLimits | undefined): SeenOfRegistry {
  const seen = nothingSeen();
  const { name, largestChunk = chunkSizes.largest, chunks = true } = limits ?? {};
  if (!chunks) seen.refused.set("chunks", `${name} takes no chunks`);
  else if (largestChunk < chunkSizes.smallest) {
    seen.refused.set("chunks", `${name} takes small chunks only`);
  } else seen.largestChunk = Math.min(seen.largestChunk, largestChunk);
  return seen;
}

/**
 * The ways to try for a blob of `size` bytes, best first. What the registry refused before comes last
 * rather than never: a refusal may have had to do with one blob.
 */
export function waysFor(size: number, seen: SeenOfRegistry): UploadWay[] {
  const ways: UploadWay[] =
    size <= smallBlob ? ["put", "patch", "chunks"] : ["chunks", "patch", "put"];
  return [
    ...ways.filter((way) => !seen.refused.has(way)),
    ...ways.filter((way) => seen.refused.has(way)),
  ];
}

/**
 * A blob of `size` bytes arrived in one way: that it was refused before counts no more. A small blob says
 * that of one PUT only, for what is refused of the others is large bodies and chunks.
 */
export function wayWorked(way: UploadWay, size: number, seen: SeenOfRegistry): void {
  if (size > smallBlob || way === "put") seen.refused.delete(way);
}

/** The first chunk of an upload, in bytes. */
export const firstChunk = (seen: SeenOfRegistry, minimum: number | undefined): number =>
  clampChunk(seen.rate > 0 ? seen.rate * silentAtMost : chunkSizes.first, seen, minimum);

/** The size of the chunk after one of `size` bytes that took `milliseconds`. */
export function nextChunk(
  size: number,
  milliseconds: number,
  seen: SeenOfRegistry,
  minimum: number | undefined,
): number {
  if (milliseconds < 500) return clampChunk(size * 2, seen, minimum);
  if (milliseconds > 4000) return clampChunk(size / 2, seen, minimum);
  return clampChunk(size, seen, minimum);
}

/** The chunk to try after one of `size` bytes was too large, or undefined when it can't be smaller. */
export function smallerChunk(size: number, minimum: number | undefined): number | undefined {
  const floor = Math.max(chunkSizes.smallest, minimum ?? 0);
  return size > floor ? Math.max(floor, Math.floor(size / 2)) : undefined;
}

function clampChunk(size: number, seen: SeenOfRegistry, minimum: number | undefined): number {
  const floor = Math.max(chunkSizes.smallest, minimum ?? 0);
  // Whole MiB: object stores behind registries like their parts even.
  const even = Math.floor(Math.min(size, seen.largestChunk) / MiB) * MiB;
  return Math.max(floor, even);
}

/** Whether a body of `size` bytes should be counted on its way, at the rate seen so far. */
export const isSlow = (size: number, rate: number): boolean =>
  size > 256 * 1024 && (rate === 0 || size / rate > silentAtMost);

/** What to do about a request of an upload that failed. */
export type AfterFailure =
  /** It is final. */
  | "throw"
  /** This registry does not take it like that. */
  | "next way"
  /** The same with a smaller chunk. */
  | "smaller"
  /** Ask the session what it has and go on from there, without waiting. */
  | "ask"
  /** The session is gone: open another one. */
  | "restart"
  /** Wait, ask the session, go on. */
  | "wait";

/** The failure of one request: the registry's status, or undefined when no answer came. */
export interface UploadFailure {
  way: UploadWay;
  status: number | undefined;
  /** How often in a row this session's chunk was answered with 416, or a session was lost. */
  repeated: number;
}

const waysEnd: ReadonlySet<number> = new Set([201, 400, 405, 411, 415, 422, 501]);

/**
 * Reads a failure: a body too large (413), a chunk that does not follow (416), a session that is gone
 * (404), a request that this registry does not know, or one that may go better later.
 */
export function afterFailure({ way, status, repeated }: UploadFailure): AfterFailure {
  if (status !== undefined && waysEnd.has(status)) return "next way";
  if (isTransient(status, "upload")) return "wait";
  if (status === 413) return way === "chunks" ? "smaller" : "next way";
  if (status === 416) return way === "put" || repeated > 0 ? "next way" : "ask";
  if (status === 404) return repeated > 1 ? "next way" : "restart";
  return "throw";
}
