import { basename } from "node:path";
import { compressWeight } from "./compress-weight.ts";
import { minSaving } from "../format/compression.ts";
import { finish, type OpenFile, readFailure, type Run, type Sha256 } from "./file-state.ts";

/** Reads one large file in a worker: hashes it, or compresses it into the cache. */
export async function readLarge(file: OpenFile, run: Run): Promise<void> {
  const began = Date.now();
  try {
    const auto = file.choice === "auto" ? await judge(file, run) : undefined;
    const codec = file.choice === "auto" ? auto : file.choice;
    const verdict = auto === undefined ? {} : { auto };
    if (codec !== undefined && codec !== "none") {
      const { input, output } = await drawn(file, "compress", run, (onBytes) =>
        compressWeight(file, codec, { ...run, onBytes }),
      );
      await finish(file, began, { original: input, ...verdict, stored: { codec, ...output } }, run);
      return;
    }
    if (file.known !== undefined) {
      const original = { digest: file.known.digest as Sha256, size: file.size };
      await finish(file, began, { original, ...verdict }, run);
      return;
    }
    const { path, size } = file;
    const [original] = await drawn(file, "hash", run, (onBytes) =>
      run.pool.hash([{ path, start: 0, end: size }], { signal: run.signal, onBytes }),
    );
    if (original === undefined) throw new Error("a file was hashed to nothing");
    await finish(file, began, { original, ...verdict }, run);
  } catch (error) {
    throw readFailure(file, error);
  }
}

async function judge({ path, size }: OpenFile, { pool, signal }: Run): Promise<"none" | "zstd"> {
  const [saved] = await pool.probe([{ path, size }], { signal });
  return saved !== undefined && saved >= minSaving ? "zstd" : "none";
}

/** Does work on a file while its progress is told. */
async function drawn<T>(
  { name, path, size }: OpenFile,
  phase: "hash" | "compress",
  { emit }: Run,
  work: (onBytes: (bytes: number) => void) => Promise<T>,
): Promise<T> {
  emit({ type: "start", phase, item: name, group: "weights", bytes: size, file: basename(path) });
  const result = await work((bytes) => emit({ type: "progress", phase, item: name, bytes }));
  emit({ type: "done", phase, item: name });
  return result;
}
