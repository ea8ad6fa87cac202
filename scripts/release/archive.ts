import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { crc32, deflateRaw } from "node:zlib";
import { Zip, type ZipInputFile } from "fflate";
import { create } from "tar";

export interface ArchiveOptions {
  /** The directory that the names are relative to. */
  directory: string;
  /** Files, in the order in which they are archived. */
  names: readonly string[];
  outfile: string;
  /** The time of change that every file gets, so that the same files make the same archive. */
  time: Date;
  /** Of compression, 1 to 9. */
  level: number;
}

/** Writes a `.tar.gz` that depends on nothing but the files' names, modes and bytes, and on `time`. */
export async function writeTarGz({ directory, names, outfile, time, level }: ArchiveOptions) {
  // `portable` leaves out owners and what else differs from machine to machine.
  const options = { cwd: directory, file: outfile, portable: true, mtime: time };
  await create({ ...options, gzip: { level } }, [...names]);
}

/** Writes a `.zip` in the same way. */
export async function writeZip({ directory, names, outfile, time, level }: ArchiveOptions) {
  const files: ZipFile[] = [];
  for (const name of names) files.push({ name, bytes: await readFile(join(directory, name)) });
  await writeFile(outfile, await zip(files, time, level));
}

export interface ZipFile {
  name: string;
  bytes: Uint8Array;
  /** 0755 for what is run, 0644 for all others. */
  executable?: boolean;
}

/** A zip of the files. zlib compresses them: of a binary, it takes a tenth of the time that JavaScript does. */
export async function zip(
  files: readonly ZipFile[],
  time: Date,
  level: number,
): Promise<Uint8Array> {
  // A zip has the local time and none before 1980.
  const local = new Date(time.getTime() + time.getTimezoneOffset() * 60_000);
  const mtime = local.getFullYear() < 1980 ? new Date(1980, 0, 1) : local;
  const chunks: Uint8Array[] = [];
  const archive = new Zip((error, chunk) => {
    if (error) throw error;
    chunks.push(chunk);
  });
  for (const { name, bytes, executable = false } of files) {
    const mode = 0o100_000 | (executable ? 0o755 : 0o644);
    const entry: ZipInputFile = {
      filename: name,
      size: bytes.length,
      crc: crc32(bytes),
      compression: 8,
      mtime,
      // Unix, whose mode is in the upper half.
      os: 3,
      attrs: mode * 2 ** 16,
    };
    archive.add(entry);
    entry.ondata?.(null, await promisify(deflateRaw)(bytes, { level }), true);
  }
  archive.end();
  return Buffer.concat(chunks);
}
