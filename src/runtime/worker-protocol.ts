import type { RecentBytes } from "./recent-bytes.ts";

/** Bytes `start` up to `end` of a file; less are read where the file ends before. */
export interface FileRange {
  path: string;
  start: number;
  end: number;
}

/** What was read or written: its sha256 digest and its size in bytes. */
export interface Hashed {
  digest: `sha256:${string}`;
  size: number;
}

/** The `code` of the error for a file that is shorter than the range asked for. */
export const fileEndedCode = "ERR_FILE_ENDED";

/** How a whole file is compressed. */
export type Codec = "gzip" | "zstd";

/** How a part of a file may be stored other than as it is. */
export type PartCodec = Codec | "bp2.zstd" | "bp4.zstd";

/** A range of a file to compress into another file. */
export interface CompressJob {
  input: FileRange;
  codec: PartCodec;
  /** The codec's own scale: gzip 1 to 9, zstd 1 to 22; of no meaning for planes. */
  level: number;
  /** Path of the file to write; on failure it is the caller's to remove. */
  output: string;
  /** Whether the output need not be on the disk when the job ends: it is flushed unless that is so. */
  isTemporary?: boolean | undefined;
}

/** Size and digest before and after compression. */
export interface Compressed {
  input: Hashed;
  output: Hashed;
}

/** The `code` of the error for a compressed file that holds more than it may. */
export const decodedTooLongCode = "ERR_DECODED_TOO_LONG";

/** A file that is being written by another thread, hashed up to where it is complete. */
export interface FollowJob {
  path: string;
  /** In bytes, when it is whole. */
  size: number;
  algorithm: "sha256" | "sha512";
  /** `front[0]`: everything before this byte is written. The writer stores and notifies. */
  front: BigInt64Array<SharedArrayBuffer>;
  /** Of what is written, what is still in memory; not where it is decompressed. */
  recent?: RecentBytes | undefined;
  /** Decompress it into `output`, which may have at most `size` bytes then. */
  decode?: { codec: Codec; size: number; output: string } | undefined;
}

/** Digests as hex digits, sizes in bytes. */
export interface Followed {
  hex: string;
  size: number;
  decoded?: { hex: string; size: number };
}

/** A file, and as the numbers of `PartPlaces` where in it the bytes of a part lie, or belong. */
export interface PlacedPart {
  path: string;
  places: Float64Array;
}

/** A part that is gathered, hashed, and perhaps decoded and written elsewhere (see part-job.ts). */
export interface PartJob {
  /** Its stored form, one place after another. */
  from: PlacedPart;
  /** How it is stored; `size`: of the original, which nothing may exceed. */
  decode?: { codec: PartCodec; size: number } | undefined;
  /** Where its original bytes are written, in a file of this user's own. */
  to?: PlacedPart | undefined;
}

/** Ranges of one file that are copied into another as they are. */
export interface CopyJob {
  from: string;
  /** A file of this user's own, which is there. */
  to: string;
  ranges: readonly CopyRange[];
}

/** Where bytes lie in the file that they are copied from, and where they go. */
export interface CopyRange {
  source: number;
  target: number;
  length: number;
}

/** A file whose bytes are checked, and where it is to be. */
export interface FileToPlace {
  path: string;
  /** Its name from then on; its directory is made where it is missing. */
  to: string;
  /** An empty file that says that it is there; one that exists stays. */
  mark: string;
}

/** Why a file could not be placed; undefined for one that was. */
export type Placed = { message: string; code: string | undefined } | undefined;

/** A file small enough to be read whole, and how it is to be stored. */
export interface SmallFile {
  path: string;
  size: number;
  choice: "none" | Codec | "auto";
}

/** How small files are compressed. */
export interface PackOptions {
  /** The level of each codec. */
  levels: Readonly<Record<Codec, number>>;
  /** `auto` compresses where at least this share of the size is saved: 0.1 is a tenth. */
  minSaving: number;
}

/** What packing a file came to. */
export interface PackedFile {
  original: Hashed;
  /** What `auto` came to. */
  auto?: "none" | "zstd";
  /** What the file is compressed, where that was wanted or worth it. */
  stored?: Hashed & { codec: Codec };
}

/**
 * Bytes in memory that threads share. A worker that was sent memory with a number knows it from then on: whatever refers
 * to shared memory anew makes the engine collect garbage, as if as much had been allocated.
 */
export interface SharedBytes {
  memory: SharedArrayBuffer | undefined;
  number: number | undefined;
  offset: number;
  length: number;
}

/** Where bytes belong in a file that grows. */
export interface AppendPlace {
  path: string;
  /** Whether the file is still to be made, and its directory where that is missing; known from the first piece on. */
  isNew: boolean;
  /** In bytes. */
  position: number;
}

/**
 * How a stream, or its part in a file, ends: its file is closed in any case; with `close` it can go on with another
 * piece, with `digest` the answer is its hash.
 */
export type StreamEnd = "close" | "digest" | "drop";

/** A step of storing bytes that come in pieces, of hashing them, or of both; a worker has many such streams at once. */
export type StreamStep =
  | {
      step: "add";
      stream: number;
      bytes: SharedBytes;
      /** They are not hashed without it. */
      algorithm: "sha256" | "sha512" | undefined;
      /** They are not written without it. */
      place: AppendPlace | undefined;
      /** What follows at once. */
      end: StreamEnd | undefined;
    }
  | { step: StreamEnd; stream: number };

/** What a worker is asked to do. */
export type Job =
  | { kind: "stream"; step: StreamStep }
  | { kind: "hash"; files: readonly FileRange[] }
  | { kind: "hash-parts"; items: readonly PlacedPart[] }
  | { kind: "probe"; files: readonly { path: string; size: number }[] }
  | { kind: "pack"; files: readonly SmallFile[]; options: PackOptions }
  | { kind: "choose"; ranges: readonly FileRange[]; minSaving: number }
  | { kind: "compress"; job: CompressJob }
  | { kind: "follow"; job: FollowJob }
  | { kind: "parts"; jobs: readonly PartJob[] }
  | { kind: "copy"; job: CopyJob }
  | { kind: "place"; files: readonly FileToPlace[] };

/**
 * To the worker. It does one job at a time for each lane, of which there is one where none is named; `cancel[0]`
 * other than 0 ends the job at its next chunk.
 */
export interface JobMessage {
  job: Job;
  lane?: number;
  cancel: Int32Array<SharedArrayBuffer>;
}

/** From the worker, for the lane that had the job. */
export type LaneMessage = WorkerMessage & { lane?: number | undefined };

/** Progress counts the bytes read from `item`, the index of a file in the job. */
export type WorkerMessage =
  | { type: "progress"; item: number; bytes: number }
  | { type: "streamed"; hex: string | undefined }
  | { type: "hashed"; results: Hashed[] }
  | { type: "probed"; results: number[] }
  | { type: "packed"; results: PackedFile[] }
  | { type: "chosen"; results: ("none" | PartCodec)[] }
  | { type: "compressed"; result: Compressed }
  | { type: "followed"; result: Followed }
  | { type: "parts"; results: Hashed[] }
  | { type: "copied"; bytes: number }
  | { type: "placed"; results: Placed[] }
  | { type: "failed"; item: number; message: string; code: string | undefined };
