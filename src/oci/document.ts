import * as v from "valibot";
import { OcibundleError } from "../errors.ts";
import { beyondBounds } from "./json-bounds.ts";

/** Larger manifests are refused by many registries, so they are never written here. */
export const maxManifestBytes = 4 * 1024 * 1024;

/** Larger ones are not read. Some registries store more than others accept, and some clients read twice as much. */
export const maxReadManifestBytes = 2 * maxManifestBytes;

/** No document of the specs has ten levels; what is nested without end could not be written again. */
const maxDepth = 100;

/** A larger document is parsed only if it has no more values than this; a smaller one has less of them. In bytes. */
const longDocument = 1024 * 1024;

/**
 * Several times as much as the largest manifests and locks have: a descriptor has 100 bytes, a part of a lock 70, a
 * member 10. Without these limits, 8 MiB of empty objects took 0.9 GB of memory, and a lock of them more than there is.
 */
const most = { levels: maxDepth, lists: 1_000_000, members: 2_000_000, commas: 4_000_000 };

/** Thrown for a document that has more values, or deeper ones, than any that is meant seriously. */
export class TooMuchJson extends SyntaxError {}

/**
 * JSON as Go's `encoding/json` reads it, which is what registries and engines use: bytes that are not UTF-8 read as
 * U+FFFD. What is digested, stored and sent is the bytes. Throws `SyntaxError`.
 */
export function parseGoJson(bytes: Uint8Array): unknown {
  const beyond = bytes.byteLength > longDocument ? beyondBounds(bytes, most) : undefined;
  if (beyond === "levels") throw new TooMuchJson(tooDeep);
  if (beyond !== undefined) throw new TooMuchJson(`has more than ${most[beyond]} ${beyond}`);
  return JSON.parse(decoder.decode(bytes));
}

const tooDeep = `nested deeper than ${maxDepth} levels`;

const decoder = new TextDecoder("utf-8");

/**
 * Parses JSON bytes from outside against a schema.
 *
 * `on` names the document in messages. Throws `file` (or `code`) with the path of the first fault:
 * `weights.lock: files.3.digest: must be a digest…`.
 */
export function parseDocument<TSchema extends v.GenericSchema>(
  bytes: Uint8Array,
  schema: TSchema,
  on: string,
  code: "file" | "integrity" | "network" = "file",
): v.InferOutput<TSchema> {
  let json: unknown;
  try {
    json = parseGoJson(bytes);
  } catch (cause) {
    const fault = cause instanceof TooMuchJson ? cause.message : "not a JSON document";
    throw new OcibundleError(code, `${on}: ${fault}`, { cause });
  }
  if (isTooDeep(json)) throw new OcibundleError(code, `${on}: ${tooDeep}`);
  return checkDocument(json, schema, on, code);
}

/** Whether a document is nested without end. */
export const isTooDeep = (json: unknown): boolean => isDeeperThan(maxDepth, json);

/** Holds a document that was parsed already against a schema. Throws as `parseDocument`. */
export function checkDocument<TSchema extends v.GenericSchema>(
  json: unknown,
  schema: TSchema,
  on: string,
  code: "file" | "integrity" | "network" = "file",
): v.InferOutput<TSchema> {
  const result = v.safeParse(schema, json);
  if (result.success) return result.output;
  throw new OcibundleError(code, `${on}: ${faultOf(result.issues)}`);
}

/** The first of what a schema finds wrong, with its path: `files.3.digest: must be a digest…`. */
export function faultOf([issue]: readonly [v.BaseIssue<unknown>, ...unknown[]]): string {
  const path = v.getDotPath(issue);
  const fault = path !== null && issue.received === "undefined" ? "is missing" : issue.message;
  return `${path === null ? "" : `${path}: `}${fault}`;
}

/** Without lists of members: a document can have hundreds of thousands of small arrays. */
function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (levels === 0) return true;
  if (Array.isArray(value)) {
    for (const member of value as unknown[]) if (isDeeperThan(levels - 1, member)) return true;
    return false;
  }
  for (const member of Object.values(value)) if (isDeeperThan(levels - 1, member)) return true;
  return false;
}
