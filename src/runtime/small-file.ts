import { createHash } from "node:crypto";
import { closeSync, readSync } from "node:fs";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { probe } from "./probe-file.ts";
import {
  type Codec,
  fileEndedCode,
  type FileRange,
  type Hashed,
  type PackedFile,
  type PackOptions,
  type SmallFile,
} from "./worker-protocol.ts";
import { openRegularSync } from "./regular-file.ts";

/** Files up to this size are read whole; larger ones are streamed. In bytes. */
export const smallFileBytes = 1024 * 1024;

/**
 * Hashes a small file and, where that is wanted or worth it, finds out what it is compressed. Nothing
 * is written: `compressBytes` gives the same bytes again. Throws errno errors.
 */
export function packSmallFile({ path, size, choice }: SmallFile, options: PackOptions): PackedFile {
  const bytes = readSmallFile({ path, start: 0, end: size });
  const original = hashed(bytes);
  if (choice === "none") return { original };
  const auto = choice === "auto" ? judge(bytes, options.minSaving) : undefined;
  const verdict = auto === undefined ? {} : { auto };
  const codec = choice === "auto" ? auto : choice;
  if (codec === undefined || codec === "none") return { original, ...verdict };
  const stored = { codec, ...hashed(compressBytes(bytes, codec, options.levels[codec])) };
  return { original, ...verdict, stored };
}

const judge = (bytes: Uint8Array, minSaving: number): "none" | "zstd" =>
  probe([bytes]) >= minSaving ? "zstd" : "none";

/** The bytes of a range of at most a few MiB. Throws errno errors, `fileEndedCode` when there are less. */
export function readSmallFile({ path, start, end }: FileRange): Uint8Array {
  const bytes = new Uint8Array(end - start);
  const file = openRegularSync(path);
  try {
    for (let filled = 0; filled < bytes.length;) {
      const read = readSync(file, bytes, filled, bytes.length - filled, start + filled);
      if (read === 0) {
        throw Object.assign(new Error(`${path}: the file ended before byte ${end}`), {
          code: fileEndedCode,
        });
      }
      filled += read;
    }
    return bytes;
  } finally {
    closeSync(file);
  }
}

/** Compresses bytes in memory. The same input and level give the same bytes each time. */
export function compressBytes(bytes: Uint8Array, codec: Codec, level: number): Uint8Array {
  if (codec === "zstd") {
    return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: level } });
  }
  const compressed = gzipSync(bytes, { level });
  hideSystem(compressed);
  return compressed;
}

/**
 * RFC 1952, 2.3.1: byte 9 of a gzip header says on which system it was made, and zlib fills it in.
 * 255, "unknown", gives the same blob on every system.
 */
export function hideSystem(header: Uint8Array): void {
  if (header.length > 9) header[9] = 255;
}

const hashed = (bytes: Uint8Array): Hashed => ({
  digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}`,
  size: bytes.byteLength,
});
