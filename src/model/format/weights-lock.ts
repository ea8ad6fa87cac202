import { randomUUID } from "node:crypto";
import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import { checkDocument, parseDocument } from "../../oci/document.ts";
import { openObject } from "../../oci/open-schemas.ts";
import { Segments } from "./segment-list.ts";
import { cutSegments, withSegmentTexts } from "./segment-text.ts";
import { lockPartsMember, parseEntries, sortedByName, type WeightEntry } from "./weight-entry.ts";

/** The name of the lock in the working directory. */
export const lockFileName = "weights.lock";

/** What a lock is read up to: about 150,000 files. */
export const maxLockBytes = 64 * 1024 * 1024;

/** weights.lock, version "1" (docs/format.md). Unknown members are kept. */
export interface WeightsLock {
  version: "1";
  /** RFC 3339; when an entry changed last. */
  created: string;
  files: WeightEntry[];
  [unknown: string]: unknown;
}

const version = "1";

const LockSchema = openObject({
  version: v.literal(version),
  created: v.pipe(
    v.string("must be an RFC 3339 time"),
    v.regex(
      /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/,
      "must be an RFC 3339 time",
    ),
  ),
  files: v.array(v.unknown(), "must be a list"),
});

const VersionSchema = openObject({ version: v.optional(v.unknown()) });

/**
 * Reads a lock; `on` names it in messages. The order of its files is kept. Lists of segments are `Segments`; what are
 * none stays as it is, and is refused where it is used.
 * Throws `file`, naming the entry and the rule that it breaks.
 */
export function parseWeightsLock(bytes: Uint8Array, on: string): WeightsLock {
  if (bytes.byteLength > maxLockBytes) {
    throw new OcibundleError(
      "file",
      `${on}: larger than ${maxLockBytes} bytes, not a weights.lock`,
      { hint: "specify a lock file that `ocibundle lock` wrote" },
    );
  }
  const cut = cutSegments(bytes);
  const found = cut.restore(parseDocument(cut.bytes, VersionSchema, on));
  if (found.version === undefined) {
    throw new OcibundleError("file", `${on}: no version, so it is not a weights.lock`, {
      hint: "specify a lock file that `ocibundle lock` wrote",
    });
  }
  if (found.version !== version) {
    throw new OcibundleError(
      "file",
      `${on}: version ${shown(found.version)} is not supported, only "${version}" is`,
      { hint: versionHint(found.version) },
    );
  }
  const lock = checkDocument(found, LockSchema, on);
  return { ...lock, files: parseEntries(lock.files, on) };
}

/** Cog has written locks of other formats to the same name: 1 as a number, and "1.0". */
const versionHint = (found: unknown): string =>
  found === 1 || found === "1.0"
    ? "keep this lock of Cog and write another one with " +
      "`ocibundle lock ./weights -o ocibundle.lock`, and use that with --lock"
    : "update ocibundle, or write another lock with -o";

const shown = (found: unknown): string =>
  typeof found === "string" && found.length <= 40
    ? JSON.stringify(found)
    : `of type ${typeof found}`;

/** The bytes of a lock: JSON indented by two spaces, files sorted by name, a newline at the end. */
export function serializeWeightsLock(lock: WeightsLock): Uint8Array {
  const { version: _, created, files, ...unknown } = lock;
  const sorted = { version, created, files: sortedByName(files), ...unknown };
  return withSegmentTexts((standIn) => new TextEncoder().encode(`${indented(sorted, standIn)}\n`));
}

/** Indented JSON, with each list of a file's parts and segments on one line: they have hundreds of items. */
function indented(lock: object, standIn: (segments: Segments) => string): string {
  const lists: string[] = [];
  // No text of the lock has it: what stands for a list is not to be mistaken.
  const mark = randomUUID();
  const text = JSON.stringify(
    lock,
    function (this: unknown, key: string, value: unknown) {
      if (key !== lockPartsMember || !isObject(value)) return value;
      const held = Object.entries(value).map(([name, member]) => {
        if (member instanceof Segments) return [name, standIn(member)];
        if (!Array.isArray(member)) return [name, member];
        return [name, `${mark}${lists.push(JSON.stringify(member)) - 1}${mark}`];
      });
      return Object.fromEntries(held);
    },
    2,
  );
  return text.replaceAll(
    new RegExp(`"${mark}(\\d+)${mark}"`, "g"),
    (whole, at: string) => lists[Number(at)] ?? whole,
  );
}

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A time for `created`, to the second as Cog writes it: "2026-02-02T10:00:00Z". */
export const rfc3339 = (time: Date): string => `${time.toISOString().slice(0, 19)}Z`;
