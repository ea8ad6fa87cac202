import * as v from "valibot";
import { OcibundleError } from "../errors.ts";

/** Larger manifests are refused by many registries, so they are never written here. */
export const maxManifestBytes = 4 * 1024 * 1024;

/** Larger ones are not read. Some registries store more than others accept, and some clients read twice as much. */
export const maxReadManifestBytes = 2 * maxManifestBytes;

/** No document of the specs has ten levels; what is nested without end could not be written again. */
const maxDepth = 100;

/**
 * JSON as Go's `encoding/json` reads it, which is what registries and engines use: bytes that are not UTF-8 read as
 * U+FFFD. What is digested, stored and sent is the bytes. Throws `SyntaxError`.
 */
export const parseGoJson = (bytes: Uint8Array): unknown => JSON.parse(decoder.decode(bytes));

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
    throw new OcibundleError(code, `${on}: not a JSON document`, { cause });
  }
  if (isTooDeep(json)) {
    throw new OcibundleError(code, `${on}: nested deeper than ${maxDepth} levels`);
  }
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
