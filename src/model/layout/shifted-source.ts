import { made } from "../../flow/made.ts";
import { passing } from "../../flow/passing.ts";
import type { BlobSource, ByteRange } from "../../oci/content.ts";
import { filePieces } from "../../store/file-pieces.ts";
import { clipped } from "./joined-source.ts";

/** A source whose bytes begin at an offset of another's. */
export function shifted(source: BlobSource, offset: number): BlobSource {
  switch (source.kind) {
    case "bytes":
      return { kind: "bytes", bytes: source.bytes.subarray(offset) };
    case "file":
      return { ...source, offset: source.offset + offset };
    case "stream":
      return {
        kind: "stream",
        open: ({ start, end }: ByteRange, signal, until = end) =>
          source.open({ start: start + offset, end: end + offset }, signal, until + offset),
      };
  }
}

/** Pieces of a file as one source, their bytes one after another. The file is opened once for all of them. */
export const gathered = (
  { path, offset, check }: BlobSource & { kind: "file" },
  pieces: Iterable<ByteRange>,
): BlobSource => ({
  kind: "stream",
  async open(range, signal) {
    await check?.();
    const wanted = { [Symbol.iterator]: () => clipped(pieces, range) };
    const inFile = made(wanted, ({ start, end }) => ({ start: offset + start, end: offset + end }));
    return passing(filePieces(path, inFile, signal));
  },
});
