import { Buffer } from "node:buffer";
import { rmSync } from "node:fs";
import { hostname } from "node:os";
import * as v from "valibot";
import { readableMode, replaceFileWith } from "../../runtime/own-file.ts";
import { readOwnFile } from "../../runtime/trusted-file.ts";

/** Who holds an exclusive lock, as far as is known. */
export interface LockHolder {
  pid: number;
  host: string;
  /** When it was taken, ISO 8601. */
  since: string;
}

const HolderSchema = v.object({ pid: v.number(), host: v.string(), since: v.string() });

const maxBytes = 4096;

/** Beside a lock file, what says who holds it. */
export const lockHolderSuffix = ".holder";

const holderPath = (path: string): string => `${path}${lockHolderSuffix}`;

/** Who says to hold the lock at `path`; undefined when nobody says so. */
export function lockHolder(path: string): LockHolder | undefined {
  try {
    const bytes = readOwnFile(holderPath(path), { maxBytes, ofAnyone: true });
    if (bytes === undefined) return undefined;
    return v.parse(HolderSchema, JSON.parse(Buffer.from(bytes).toString("utf8")));
  } catch {
    return undefined;
  }
}

/** Says that this process holds the lock at `path`. Never throws: it is only for messages. */
export function noteHolder(path: string): void {
  const holder: LockHolder = {
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
  };
  try {
    replaceFileWith(holderPath(path), JSON.stringify(holder), readableMode);
  } catch {
    // Then those who wait are told of nobody.
  }
}

/** Takes back what `noteHolder` said. Never throws. */
export function removeHolder(path: string): void {
  try {
    rmSync(holderPath(path), { force: true });
  } catch {
    // The next who notes a holder overwrites it.
  }
}
