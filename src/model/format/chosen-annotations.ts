import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import { AnnotationsSchema } from "../../oci/descriptor.ts";
import { digestOf } from "../../oci/digest.ts";
import { maxManifestBytes, parseDocument } from "../../oci/document.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { goJson } from "./go-json.ts";
import { quoted } from "./weight-entry.ts";

/** Annotations of a manifest, by key. */
export type Annotations = Readonly<Record<string, string>>;

/** The keys of the image specification that say where weights came from (image-spec v1.1, annotations.md). */
export const originKeys = {
  source: "org.opencontainers.image.source",
  revision: "org.opencontainers.image.revision",
  licenses: "org.opencontainers.image.licenses",
  created: "org.opencontainers.image.created",
} as const;

/** In bytes; what is longer belongs into a file that is attached. */
const maxKeyBytes = 256;
const maxValueBytes = 16 * 1024;

/** What formats say with annotations of manifests, which must not be said by anything else. */
const ownKeys = /^(?:vnd\.cog\.|run\.cog\.|vnd\.ocibundle\.|org\.cncf\.model\.)/;

/** What is said where a manifest is made again without the annotations that it had; undefined where it had none. */
export function skippedAnnotations(root: RawManifest, on: string): string | undefined {
  const keys = Object.keys(membersOf(root, on, () => {}).annotations).filter(
    (key) => !ownKeys.test(key),
  );
  if (keys.length === 0) return undefined;
  return `${keys.length} annotation${keys.length === 1 ? "" : "s"} of ${on} skipped`;
}

/**
 * Annotations as the command line has them, `KEY=VALUE`. A manifest is public: a URL with a user or a query is
 * refused, and its value not printed. Throws `usage`.
 */
export function parseAnnotations(texts: readonly string[]): Annotations {
  const found = new Map<string, string>();
  for (const text of texts) {
    const equals = text.indexOf("=");
    const key = equals === -1 ? text : text.slice(0, equals);
    const fail = (why: string, hint: string): never => {
      throw new OcibundleError("usage", `--annotation ${quoted(shortened(key))}: ${why}`, { hint });
    };
    if (equals === -1) fail('"=" is missing', "use --annotation KEY=VALUE");
    const value = text.slice(equals + 1);
    const keyFault = faultOf(key, /\p{Cc}|\p{Zl}|\p{Zp}|^\s|\s$/u, maxKeyBytes);
    if (key === "") fail("the key is empty", "use --annotation KEY=VALUE");
    if (keyFault !== undefined) fail(`the key ${keyFault}`, "use a key such as com.example.team");
    if (ownKeys.test(key)) fail("the key is reserved for weights formats", "use a key of your own");
    if (found.has(key)) fail("the key is specified twice", "remove one of them");
    // Descriptions may have several lines.
    const valueFault = faultOf(value, /[^\P{Cc}\n\t]/u, maxValueBytes);
    if (valueFault !== undefined) fail(`the value ${valueFault}`, "shorten it, or escape it");
    if (hasSecretPart(value)) {
      fail(
        "the value is a URL with a username or a query, which can be a secret",
        "remove that part: everyone who can pull can read annotations",
      );
    }
    if (key === originKeys.created && !isTime(value)) {
      fail("the value is not an RFC 3339 time", "use a time such as 2026-02-02T10:00:00Z");
    }
    found.set(key, value);
  }
  return Object.fromEntries(found);
}

function faultOf(text: string, forbidden: RegExp, most: number): string | undefined {
  if (!text.isWellFormed() || text.includes("\uFFFD")) return "is not valid Unicode";
  if (forbidden.test(text)) return "has control characters, or spaces at its ends";
  return new TextEncoder().encode(text).byteLength > most
    ? `is longer than ${most} bytes`
    : undefined;
}

/** Whether a URL is somewhere in a text, with what may be a secret in it. */
const hasSecretPart = (text: string): boolean =>
  /[a-z][a-z0-9+.-]{0,20}:\/\/(?:[^\s/?#"'<>]*@|[^\s"'<>]*\?[^\s"'<>])/i.test(text);

const isTime = (text: string): boolean =>
  /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/.test(text) &&
  !Number.isNaN(Date.parse(text));

const shortened = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}…` : text);

const AnnotatedSchema = v.looseObject({ annotations: v.optional(v.nullable(AnnotationsSchema)) });

/**
 * A manifest or index with further annotations, which go before those that it has; the same one where there are
 * none. Their order does not matter. Throws `file` where it becomes too large for registries.
 */
export function annotated(raw: RawManifest, annotations: Annotations): RawManifest {
  if (Object.keys(annotations).length === 0) return raw;
  const on = "the annotated manifest";
  const has = parseDocument(raw.bytes, AnnotatedSchema, on).annotations ?? {};
  const all = Object.entries({ ...has, ...annotations }).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const document = JSON.parse(new TextDecoder().decode(raw.bytes)) as object;
  const bytes = goJson({ ...document, annotations: Object.fromEntries(all) });
  if (bytes.byteLength > maxManifestBytes) {
    throw new OcibundleError(
      "file",
      `${on} has ${bytes.byteLength} bytes; registries accept at most ${maxManifestBytes}`,
      { hint: "use fewer or shorter annotations" },
    );
  }
  return { ...raw, digest: digestOf(bytes), bytes };
}
