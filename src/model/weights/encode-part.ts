import { createHash } from "node:crypto";
import { OcibundleError } from "../../errors.ts";
import { passing } from "../../flow/passing.ts";
import type { BlobSource } from "../../oci/content.ts";
import { shortDigest } from "../../oci/digest.ts";
import { readableMode, replaceFile } from "../../runtime/own-file.ts";
import { createWorkerPool, type WorkerPool } from "../../runtime/worker-pool.ts";
import type { PartCodec } from "../../runtime/worker-protocol.ts";
import { readOn } from "../../transfer/download/read-on.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { cacheFailure } from "../../store/cache/directory.ts";
import { filePieces } from "../../store/file-pieces.ts";
import { writeAll } from "../../store/verified-write.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import { levelOf } from "../format/compression.ts";
import { quoted } from "../format/weight-entry.ts";
import type { OriginalFile } from "../layout/original-file.ts";
import { shifted } from "../layout/shifted-source.ts";
import type { StoredPart } from "../parts/parts-artifact.ts";

/** A part of a file that does not lie on this machine, or not as it is. */
export interface PartOfFile {
  file: OriginalFile;
  part: StoredPart;
  /** Where in the file it begins, in bytes. */
  start: number;
}

/** What encoding a part needs. */
interface Encoding {
  /** Its temporary files are in the cache's directory. */
  cache: Cache;
  emit: EmitEvent;
  signal: AbortSignal;
}

/** Thrown where a part is encoded to another blob than before: by another version of zstd, or of this program. */
export class OtherForm extends Error {}

/** A part in a form that is known, encoded when it is read; its file goes when it was read. */
export function encodedSource(
  piece: PartOfFile,
  form: StoredPart,
  { cache, emit, pool }: Omit<Encoding, "signal"> & { pool?: WorkerPool },
): BlobSource {
  const encodeTo = async (encoded: string, signal: AbortSignal): Promise<void> => {
    const original = await cache.tempPath("part");
    const workers = pool ?? createWorkerPool(1);
    try {
      await spool(piece, original, { cache, emit, signal });
      const { encoding, stored } = form;
      if (encoding === "none") throw new TypeError("a part as it is needs no encoding");
      const made = await encode(original, encoded, encoding, { ...form, pool: workers, signal });
      if (made.digest !== stored.digest) throw new OtherForm(`${nameOf(piece)} has another form`);
    } finally {
      if (pool === undefined) workers.close();
      await cache.discardTemp(original);
    }
  };
  return {
    kind: "stream",
    async open(range, signal) {
      const encoded = await cache.tempPath("compress");
      const end = () => cache.discardTemp(encoded);
      try {
        await encodeTo(encoded, signal);
        signal.throwIfAborted();
        // Of a request that is given up, nobody may read or cancel the body.
        signal.addEventListener("abort", () => void end(), { once: true });
      } catch (error) {
        await end();
        throw error;
      }
      const chunks = filePieces(encoded, [range], signal);
      return passing({
        async read() {
          try {
            const chunk = await chunks.read();
            if (chunk.done) await end();
            return chunk;
          } catch (error) {
            await end();
            throw error;
          }
        },
        async cancel(reason?: unknown) {
          await chunks.cancel(reason);
          await end();
        },
      });
    },
  };
}

/** Encodes a file of `size` bytes; resolves to the digest and size of the encoded one. Throws errno errors. */
export async function encode(
  original: string,
  output: string,
  codec: PartCodec,
  { size, pool, signal }: { size: number; pool: WorkerPool; signal: AbortSignal },
) {
  const input = { path: original, start: 0, end: size };
  const job = { input, codec, level: levelOf(codec), output, isTemporary: true };
  return (await pool.compress(job, { signal })).output;
}

/** Writes the original bytes of a part to a file, verified; what breaks off is gone on with. */
export async function spool(piece: PartOfFile, path: string, run: Encoding): Promise<void> {
  const { file, part, start } = piece;
  const { cache, emit, signal } = run;
  const source = shifted(await file.source(signal), start);
  const hash = createHash("sha256");
  const output = await replaceFile(path, readableMode);
  let at = 0;
  try {
    const range = { start: 0, end: part.size };
    for await (const chunk of readOn(source, range, { signal, emit, item: file.name })) {
      hash.update(chunk);
      await writeAll(output, chunk, at).catch((error: unknown) => {
        throw cacheFailure(cache.root, error);
      });
      at += chunk.byteLength;
      tell(piece, run, chunk.byteLength);
    }
  } finally {
    await output.close();
  }
  if (`sha256:${hash.digest("hex")}` !== part.digest) throw wrongPart(piece);
}

/** What a part is called in messages. */
export const nameOf = ({ file, part }: PartOfFile): string =>
  `part ${shortDigest(part.digest)} of weight ${quoted(file.name)}`;

function wrongPart(piece: PartOfFile): OcibundleError {
  const { mismatchHint } = piece.file;
  return new OcibundleError(
    "integrity",
    `${nameOf(piece)}: the content does not match its digest`,
    mismatchHint === undefined ? {} : { hint: mismatchHint },
  );
}

const tell = ({ file }: PartOfFile, { emit }: Pick<Encoding, "emit">, bytes: number): void =>
  emit({ type: "progress", phase: "compress", item: file.name, bytes });
