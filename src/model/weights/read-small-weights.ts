import { basename } from "node:path";
import { setImmediate as breathe } from "node:timers/promises";
import { packSmallFile } from "../../runtime/small-file.ts";
import type { PackedFile } from "../../runtime/worker-protocol.ts";
import { compressionLevels, minSaving } from "../format/compression.ts";
import { finish, type OpenFile, readFailure, type Run, sum } from "./file-state.ts";

/** So much in small files is read without the cost of starting a worker. In bytes. */
const inlineBytes = 4 * 1024 * 1024;
/** Small files go to a worker by so many, or by so many bytes. */
const batch = { files: 256, bytes: 16 * 1024 * 1024 } as const;

const packOptions = { levels: compressionLevels, minSaving };

/** Reads small files: a few right here, many by batches in the workers. One item in progress. */
export async function readSmall(files: readonly OpenFile[], run: Run): Promise<void> {
  const [first, ...more] = files;
  const isOne = first !== undefined && more.length === 0;
  const item = isOne ? first.name : `${files.length} small files`;
  const bytes = sum(files);
  const named = isOne ? { file: basename(first.path) } : {};
  run.emit({ type: "start", phase: "hash", item, group: "weights", bytes, ...named });
  const inline = bytes <= inlineBytes;
  await Promise.all(
    batches(files).map(async (some) => {
      const began = Date.now();
      const results = inline ? await packInline(some, run) : await packInWorker(some, run);
      for (const [index, file] of some.entries()) {
        const packed = results[index];
        if (packed === undefined) throw new Error("a small file was not read");
        await finish(file, began, packed, run);
      }
      run.emit({ type: "progress", phase: "hash", item, bytes: sum(some) });
    }),
  );
  run.emit({ type: "done", phase: "hash", item });
}

async function packInline(files: readonly OpenFile[], { signal }: Run): Promise<PackedFile[]> {
  const results: PackedFile[] = [];
  for (const [index, file] of files.entries()) {
    if (index % 16 === 15) await breathe();
    signal.throwIfAborted();
    try {
      results.push(packSmallFile(file, packOptions));
    } catch (error) {
      throw readFailure(file, error);
    }
  }
  return results;
}

async function packInWorker(files: readonly OpenFile[], run: Run): Promise<PackedFile[]> {
  const plain = files.map(({ path, size, choice }) => ({ path, size, choice }));
  try {
    return await run.pool.pack(plain, packOptions, { signal: run.signal });
  } catch (error) {
    const item = (error as { item?: unknown }).item;
    const file = typeof item === "number" ? files[item] : undefined;
    throw file === undefined ? error : readFailure(file, error);
  }
}

function batches(files: readonly OpenFile[]): OpenFile[][] {
  const all: OpenFile[][] = [];
  let current: OpenFile[] = [];
  let bytes = 0;
  for (const file of files) {
    if (current.length === batch.files || (current.length > 0 && bytes + file.size > batch.bytes)) {
      all.push(current);
      current = [];
      bytes = 0;
    }
    current.push(file);
    bytes += file.size;
  }
  if (current.length > 0) all.push(current);
  return all;
}
