import type * as v from "valibot";
import { parallel } from "../flow/parallel.ts";
import { type Digest, isDigest } from "./digest.ts";
import { checkDocument, isTooDeep, parseDocument, parseGoJson } from "./document.ts";
import type { RawManifest } from "./manifest.ts";

/** Asks for the size of what a manifest names, in bytes; undefined where it is not known. */
export type SizeOf = (
  digest: Digest,
  kind: "blob" | "manifest",
  signal: AbortSignal,
) => Promise<number | undefined>;

/** Sizes that are asked for at most: writers that leave them out make small images. */
const mostAsked = 1000;
const askedAtOnce = 16;

/** Members that hold descriptors, in lower case, and what these are of. */
const kinds: ReadonlyMap<string, "blob" | "manifest"> = new Map([
  ["config", "blob"],
  ["layers", "blob"],
  ["blobs", "blob"],
  ["manifests", "manifest"],
]);

/**
 * A manifest with the sizes that its descriptors leave out, as some writers do and other clients read it. What is
 * stored and sent are its bytes. The same one where nothing is left out. Throws what asking throws.
 */
export async function withSizes(
  raw: RawManifest,
  sizeOf: SizeOf,
  signal: AbortSignal,
): Promise<RawManifest> {
  const lacking = lackingSizes(raw.bytes);
  if (lacking.size === 0 || lacking.size > mostAsked) return raw;
  const sizes = new Map<string, number>();
  await parallel([...lacking], askedAtOnce, signal, async ([digest, kind], stop) => {
    const size = await sizeOf(digest, kind, stop);
    if (size !== undefined) sizes.set(digest, size);
  });
  return sizes.size === 0 ? raw : { ...raw, sizes };
}

/** Parses a manifest against a schema, with the sizes that are known of it. Throws as {@link parseDocument}. */
export function parseManifest<TSchema extends v.GenericSchema>(
  { bytes, sizes }: Pick<RawManifest, "bytes" | "sizes">,
  schema: TSchema,
  on: string,
  code?: "file" | "network",
): v.InferOutput<TSchema> {
  if (sizes === undefined) return parseDocument(bytes, schema, on, code);
  const json = parseGoJson(bytes);
  if (isTooDeep(json)) return parseDocument(bytes, schema, on, code);
  for (const { entry } of unsizedEntries(json)) {
    const size = sizes.get(entry["digest"] as string);
    if (size === undefined) continue;
    for (const key of Object.keys(entry)) if (key.toLowerCase() === "size") delete entry[key];
    entry["size"] = size;
  }
  return checkDocument(json, schema, on, code);
}

function lackingSizes(bytes: Uint8Array): Map<Digest, "blob" | "manifest"> {
  const lacking = new Map<Digest, "blob" | "manifest">();
  const text = new TextDecoder().decode(bytes);
  // As a rule each digest has its size, and the document is not parsed once more.
  if (count(text, /"digest"\s*:/gi) <= count(text, /"size"\s*:\s*[0-9]/gi)) return lacking;
  try {
    for (const { entry, kind } of unsizedEntries(parseGoJson(bytes))) {
      const digest = entry["digest"];
      if (typeof digest === "string" && isDigest(digest)) lacking.set(digest, kind);
    }
  } catch {
    // Who parses it says what is wrong with it.
  }
  return lacking;
}

const count = (text: string, pattern: RegExp): number => {
  let found = 0;
  while (pattern.test(text)) found += 1;
  return found;
};

/** The descriptors of a manifest that have no size, or null for one. */
function unsizedEntries(
  json: unknown,
): { entry: Record<string, unknown>; kind: "blob" | "manifest" }[] {
  if (!isObject(json)) return [];
  return Object.entries(json).flatMap(([key, value]) => {
    const kind = kinds.get(key.toLowerCase());
    if (kind === undefined) return [];
    const entries: unknown[] = Array.isArray(value) ? value : [value];
    return entries.flatMap((entry) =>
      isObject(entry) && lacksSize(entry) ? [{ entry, kind }] : [],
    );
  });
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const lacksSize = (entry: Record<string, unknown>): boolean =>
  !Object.entries(entry).some(([key, value]) => key.toLowerCase() === "size" && value !== null);
