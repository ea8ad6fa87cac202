import { Buffer } from "node:buffer";
import { cLibraries } from "./c-library.ts";

/** linux/fcntl.h, linux/fs.h */
const currentDirectory = -100;
const exchangeFlag = 2;

/**
 * The system's `renameat2`: directories by their descriptors, names as bytes that end with 0. Returns 0,
 * or -1.
 */
export type Rename = (
  fromDirectory: number,
  from: Uint8Array<ArrayBuffer>,
  toDirectory: number,
  to: Uint8Array<ArrayBuffer>,
  flags: number,
) => number;

/** A path as C has it. */
const path = (text: string): Uint8Array<ArrayBuffer> => Buffer.from(`${text}\0`);

/** Exchanges two names by renameat2 of the C library, which `load` gets. False where that does not work. */
export function exchangeWith(
  load: (library: string) => Rename,
  [a, b]: readonly [string, string],
): boolean {
  for (const library of cLibraries) {
    try {
      return (
        load(library)(currentDirectory, path(a), currentDirectory, path(b), exchangeFlag) === 0
      );
    } catch {
      // Another C library, or an old one without the call.
    }
  }
  return false;
}
