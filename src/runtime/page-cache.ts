import { cLibraries } from "./c-library.ts";

/** sys/mman.h */
const noAccess = 0;
const sharedMapping = 1;

/** Pages are no smaller anywhere. In bytes. */
const leastPage = 4096;

/** What mincore does not write: there is one byte for each page, and a page may be larger than the smallest. */
const untouched = 2;

/** Calls of the C library. An address is what `mmap` returns: all bits are set in one that is none. */
export interface MemoryCalls<Address> {
  mmap(length: number, access: number, flags: number, file: number, offset: number): Address;
  /** Returns 0, or -1. */
  mincore(address: Address, length: number, pages: Uint8Array<ArrayBuffer>): number;
  munmap(address: Address, length: number): number;
  isAddress(address: Address): boolean;
}

/**
 * Which share of the bytes from `start` to `end` of an open file is in the page cache, from 0 to 1; undefined where the
 * system does not tell. `start` is a multiple of the largest page of any system.
 */
export type CachedShare = (file: number, start: number, end: number) => number | undefined;

/** Asks mincore of the C library, which `load` gets; undefined where there is none. Nothing is read. */
export function cachedShareWith<Address>(
  load: (library: string) => MemoryCalls<Address>,
): CachedShare | undefined {
  for (const library of cLibraries) {
    try {
      return shareOf(load(library));
    } catch {
      // Another C library.
    }
  }
  return undefined;
}

const shareOf =
  <Address>(calls: MemoryCalls<Address>): CachedShare =>
  (file, start, end) => {
    const length = end - start;
    const address = calls.mmap(length, noAccess, sharedMapping, file, start);
    if (!calls.isAddress(address)) return undefined;
    try {
      const pages = new Uint8Array(Math.ceil(length / leastPage)).fill(untouched);
      if (calls.mincore(address, length, pages) !== 0) return undefined;
      let [cached, all] = [0, 0];
      for (const page of pages) {
        if (page === untouched) break;
        all += 1;
        cached += page & 1;
      }
      return cached / all;
    } finally {
      calls.munmap(address, length);
    }
  };
