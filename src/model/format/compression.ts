import type { Codec, PartCodec } from "../../runtime/worker-protocol.ts";
import type { Compression } from "./weight-entry.ts";

/** How a weight file is to be stored; `auto` looks at samples of it (docs/format.md). */
export type CompressionChoice = Compression | "auto";

/**
 * The levels that blobs are made with: what a lock pins can only be made again with the same. Of weights, zstd at
 * level 1 leaves as much as at level 3, in less time.
 */
export const compressionLevels = { gzip: 6, zstd: 1 } as const satisfies Record<Codec, number>;

/** The level for a part; planes are compressed with zstd. */
export const levelOf = (codec: PartCodec): number =>
  compressionLevels[codec === "gzip" ? "gzip" : "zstd"];

/**
 * `auto` leaves whole files from this size on as they are: one stream can be neither decoded by several cores nor
 * fetched in ranges, and nothing of it serves the next version. In bytes.
 */
export const mostAutoBytes = 64 * 1024 * 1024;

/** `auto` compresses where at least this share of the samples is saved. */
export const minSaving = 0.1;
