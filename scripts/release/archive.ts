import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zipSync, type Zippable } from "fflate";
import { create } from "tar";

export interface ArchiveOptions {
  /** The directory that the names are relative to. */
  directory: string;
  /** Files, in the order in which they are archived. */
  names: readonly string[];
  outfile: string;
  /** The time of change that every file gets, so that the same files make the same archive. */
  time: Date;
}

/** Writes a `.tar.gz` that depends on nothing but the files' names, modes and bytes, and on `time`. */
export async function writeTarGz({ directory, names, outfile, time }: ArchiveOptions) {
  // `portable` leaves out owners and what else differs from machine to machine.
  const options = { cwd: directory, file: outfile, portable: true, mtime: time };
  await create({ ...options, gzip: { level: 9 } }, [...names]);
}

/** Writes a `.zip` in the same way. */
export async function writeZip({ directory, names, outfile, time }: ArchiveOptions) {
  const files: Zippable = {};
  for (const name of names) {
    files[name] = [new Uint8Array(await readFile(join(directory, name))), zipEntry(time)];
  }
  await writeFile(outfile, zipSync(files));
}

/** Of a file in a zip: 0755 for what is run, 0644 for all others. */
export function zipEntry(time: Date, executable = false) {
  const mode = 0o100_000 | (executable ? 0o755 : 0o644);
  // A zip has the local time and none before 1980; `os` 3 is Unix, whose mode is in the upper half.
  const local = new Date(time.getTime() + time.getTimezoneOffset() * 60_000);
  const mtime = local.getFullYear() < 1980 ? new Date(1980, 0, 1) : local;
  return { level: 9 as const, mtime, os: 3, attrs: mode * 2 ** 16 };
}
