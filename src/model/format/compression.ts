import type { Codec } from "../../runtime/worker-protocol.ts";
import type { Compression } from "./weight-entry.ts";

/** How a weight file is to be stored; `auto` looks at samples of it (docs/format.md). */
export type CompressionChoice = Compression | "auto";

/** The levels that blobs are made with: what a lock pins can only be made again with the same. */
export const compressionLevels = { gzip: 6, zstd: 3 } as const satisfies Record<Codec, number>;

/** `auto` compresses where at least this share of the samples is saved. */
export const minSaving = 0.1;
